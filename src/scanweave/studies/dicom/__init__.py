"""DICOM in: files of a hospital as studies, checked, named and without identity."""
