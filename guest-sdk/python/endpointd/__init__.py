"""Write endpointd plugins in Python: a class whose public methods answer RPC calls."""

from . import call_info, config, log
from .bucket import Bucket, BucketError
from .client import Target
from .endpoint import Endpoint
from .failure import Failure

__all__ = ["Bucket", "BucketError", "Endpoint", "Failure", "Target", "call_info", "config", "log"]
