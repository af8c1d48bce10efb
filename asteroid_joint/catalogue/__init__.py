"""What there is: models with their papers and sizes, weights with their licences and figures."""
