"""File formats: images, measurements and boxes in and out, each judged before it is decoded."""
