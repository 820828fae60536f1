"""Pictures as SVG text: pure functions of a report's data, coloured by the style of the page."""
