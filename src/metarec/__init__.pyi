# The public names of metarec, each with its home: the one list of them.
# Editors and type checkers read it as it stands; `__init__.py` loads each name from it when used.
from metarec.data.dataset import Dataset as Dataset
from metarec.data.errors import BadInput as BadInput
from metarec.data.errors import DataWarning as DataWarning
from metarec.data.read import read as read
from metarec.data.schema import Catalog as Catalog
from metarec.data.schema import Interactions as Interactions
from metarec.data.schema import Profiles as Profiles
from metarec.evaluation.baselines import register_baseline as register_baseline
from metarec.evaluation.evaluate import Evaluation as Evaluation
from metarec.evaluation.evaluate import evaluate as evaluate
from metarec.explanation import explain as explain
from metarec.features.encoders.encode import register_encoder as register_encoder
from metarec.models.config import ModelConfig as ModelConfig
from metarec.models.config import setting as setting
from metarec.models.few_shot.learners import register_learner as register_learner
from metarec.models.registry import register_model as register_model
from metarec.recommendation.explained import Explanation as Explanation
from metarec.recommendation.slate import Request as Request
from metarec.recommendation.slate import Slate as Slate
from metarec.recommender import Recommender as Recommender
from metarec.runtime.device import use_device as use_device

__version__: str
