"""The host's side: the real one in a component, and the one of `endpointd.testing` under plain Python."""

try:
    import wit_world  # noqa: F401: there in a component, and nowhere else

    from .wasm import *  # noqa: F403
except ModuleNotFoundError:
    from .testing import *  # noqa: F403
