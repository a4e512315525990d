"""What the plugin answers. Every public method is one that callers may use."""

from endpointd import Endpoint, config, log


class Greeter(Endpoint, version="1.0"):
    def greet(self, name: str) -> str:
        """Callers use `greet(name="Ada")`."""
        if not name:
            raise ValueError("a name is needed")
        log.info(f"greeting {name}")
        return f"{config.get('greeting', 'Hello')}, {name}"
