"""Zone sources: octoDNS YAML and RFC 1035 master files, read into model values and written back."""
