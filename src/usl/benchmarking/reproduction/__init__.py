"""The paper's tables and figures: recipes, the data sets they need, and ours beside the paper's."""
