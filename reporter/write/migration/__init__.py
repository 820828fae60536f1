"""`anereport migrate`: ML Programs made, verified, judged, and told."""
