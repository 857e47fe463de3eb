"""`retain serve`: a champion that answers over HTTP."""
