"""A module per place that a report is filed in: each renders a `Report` to the text it takes."""
