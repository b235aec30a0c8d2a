"""Reading studies: made and real tumours side by side, shown blind, and what the answers say (visual Turing test)."""
