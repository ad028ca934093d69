"""The paper's tables and figures: recipes, the data sets they need, the paper's numbers beside ours."""
