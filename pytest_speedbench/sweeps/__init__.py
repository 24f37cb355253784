"""Several pairs measured in turn and set side by side. Knows no pytest and no command line."""
