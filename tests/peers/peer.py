"""What the peers share: a line of JSON in, a line of JSON out."""

import json
import sys


def serve(actions):
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        action = actions[request.pop("do")]
        try:
            answer = {"result": action(**request)}
        except Exception as error:
            answer = {
                "raised": type(error).__name__,
                "module": type(error).__module__,
                "message": str(error),
                "exc_type": getattr(error, "exc_type", None),
                "value": getattr(error, "value", None),
            }
        print(json.dumps(answer), flush=True)
