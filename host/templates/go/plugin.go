// What the plugin answers: functions, each under the name that callers use.
package main

import endpointd "github.com/endpointd/endpointd/guest-sdk/go"

func init() {
	endpointd.Serve("1.0").Method("greet", greet)
}

// Never called: the host calls the methods.
func main() {}

type greetArguments struct {
	Name string `json:"name"`
}

// Callers use `greet(name="Ada")`.
func greet(ctx *endpointd.Context, args greetArguments) (string, error) {
	if args.Name == "" {
		return "", endpointd.Failf("ValueError", "a name is needed")
	}
	endpointd.Info.Logf("greeting %s", args.Name)
	greeting, isThere := endpointd.Setting("greeting")
	if !isThere {
		greeting = "Hello"
	}
	return greeting + ", " + args.Name, nil
}
