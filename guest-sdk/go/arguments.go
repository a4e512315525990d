package endpointd

import (
	"encoding/json/jsontext"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/endpointd/endpointd/guest-sdk/go/internal/rpcjson"
)

// A parameter is a field of a method's arguments.
type parameter struct {
	name      string
	index     []int
	mayBeLeft bool
	otherwise jsontext.Value
}

// parametersOf are those of a type of arguments: none for a map, which takes whatever comes. It panics where the type
// is not one that arguments can be read into, which is when the plugin is loaded.
func parametersOf(method string, of reflect.Type) []parameter {
	if of.Kind() == reflect.Map && of.Key().Kind() == reflect.String {
		return nil
	}
	if of.Kind() != reflect.Struct {
		panic(fmt.Sprintf(
			"endpointd: the arguments of %s are of type %s; they must be a struct, or a map with text as keys", method, of))
	}
	var parameters []parameter
	for index := range of.NumField() {
		field := of.Field(index)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct {
			for _, embedded := range parametersOf(method, field.Type) {
				embedded.index = append([]int{index}, embedded.index...)
				parameters = append(parameters, embedded)
			}
			continue
		}
		if !field.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		optional := func(option string) bool { return option == "omitzero" || option == "omitempty" }
		parameter := parameter{
			name:      name,
			index:     []int{index},
			mayBeLeft: field.Type.Kind() == reflect.Pointer || slices.ContainsFunc(strings.Split(options, ","), optional),
		}
		if text, isThere := field.Tag.Lookup("default"); isThere {
			parameter.otherwise = defaultOf(field.Type, text)
			if err := rpcjson.Read(parameter.otherwise, reflect.New(field.Type).Interface()); err != nil {
				panic(fmt.Sprintf("endpointd: the default of %s in the arguments of %s: %s", name, method, rpcjson.Problem(err)))
			}
		}
		parameters = append(parameters, parameter)
	}
	return parameters
}

// defaultOf is a default as JSON. Text stands for itself.
func defaultOf(of reflect.Type, text string) jsontext.Value {
	if of.Kind() != reflect.String {
		return jsontext.Value(text)
	}
	quoted, err := rpcjson.Write(text)
	if err != nil {
		panic(fmt.Sprintf("endpointd: a default is not UTF-8: %q", text))
	}
	return quoted
}

// readArguments reads the arguments of a call, a JSON object, into a struct or a map. The error is a TypeError as
// Python's own.
func readArguments(method string, parameters []parameter, text string, into reflect.Value) error {
	var values map[string]jsontext.Value
	if err := rpcjson.Read([]byte(text), &values); err != nil {
		return Failf("TypeError", "%s() arguments: %s", method, rpcjson.Problem(err))
	}
	read := func(name string, raw jsontext.Value, into any) error {
		if err := rpcjson.Read(raw, into); err != nil {
			return Failf("TypeError", "%s() argument '%s': %s", method, name, rpcjson.Problem(err))
		}
		return nil
	}
	if into.Kind() == reflect.Map {
		into.Set(reflect.MakeMap(into.Type()))
		for name, raw := range values {
			value := reflect.New(into.Type().Elem())
			if err := read(name, raw, value.Interface()); err != nil {
				return err
			}
			into.SetMapIndex(reflect.ValueOf(name).Convert(into.Type().Key()), value.Elem())
		}
		return nil
	}
	for _, parameter := range parameters {
		raw, isThere := values[parameter.name]
		switch {
		case isThere:
			delete(values, parameter.name)
		case parameter.otherwise != nil:
			raw = parameter.otherwise
		case parameter.mayBeLeft:
			continue
		default:
			return Failf("TypeError", "%s() missing a required argument: '%s'", method, parameter.name)
		}
		if err := read(parameter.name, raw, into.FieldByIndex(parameter.index).Addr().Interface()); err != nil {
			return err
		}
	}
	if len(values) > 0 {
		unknown := slices.Min(slices.Collect(maps.Keys(values)))
		return Failf("TypeError", "%s() got an unexpected keyword argument '%s'", method, unknown)
	}
	return nil
}
