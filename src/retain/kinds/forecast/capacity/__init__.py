"""What a problem of many more series needs: `retain plan`."""
