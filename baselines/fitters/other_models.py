"""Models of another kind, as whole procedures: trees and linear models of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contract import Solution


def tree_boosting(
    *, public: Any, log: Any, seeds: Any, lr: float = 0.1, depth: int = 3, subsample: float = 0.5
) -> Solution:
    """Gradient boosting of trees, as many stages as the budget has units."""
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    kind = GradientBoostingClassifier if public["classes"] else GradientBoostingRegressor
    model = kind(
        n_estimators=public["budget"], learning_rate=lr, max_depth=depth, subsample=subsample, random_state=state(seeds)
    )
    return fitted(model, public)


def random_forest(*, public: Any, log: Any, seeds: Any, features: float = 0.3, leaf: int = 1) -> Solution:
    """A forest of as many trees as the budget has units. features: share of the inputs that a split may choose from."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if public["classes"] else RandomForestRegressor
    model = kind(n_estimators=public["budget"], max_features=features, min_samples_leaf=leaf, random_state=state(seeds))
    return fitted(model, public)


def linear(*, public: Any, log: Any, seeds: Any, decay: float = 1.0) -> Solution:
    """Ridge or logistic regression. decay: weight of |weights|^2 / 2 against the summed loss."""
    from sklearn.linear_model import LogisticRegression, Ridge

    model = LogisticRegression(C=1 / decay, max_iter=1000) if public["classes"] else Ridge(alpha=decay)
    return fitted(model, public)


def state(seeds: Any) -> int:
    """The entry's seed in the 32 bits that scikit-learn takes."""
    return int(seeds("init") % 2**32)


def fitted(model: Any, public: Any) -> Solution:
    """The model, fitted; its predictions have the task's outputs."""
    model.fit(public["x"].numpy(), public["y"].numpy())
    classes = public["classes"]

    def predict(x: Tensor) -> Tensor:
        if not classes:
            return torch.as_tensor(model.predict(x.numpy()))[:, None]
        logs = np.log(np.maximum(model.predict_proba(x.numpy()), 1e-12))
        return torch.as_tensor(logs[:, 1:] - logs[:, :1] if classes == 2 else logs)

    return Solution(predict)
