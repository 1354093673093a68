"""Rating prediction: the head, its Gaussian process and priors, and how they are fitted."""
