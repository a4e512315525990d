// Package rpcjson is JSON as other languages read and write it: an integer stays one, to the last digit, and so does
// what is none.
package rpcjson

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Deeper JSON would need more stack than a plugin has.
const maxDepth = 500

var writing = json.JoinOptions(
	json.Deterministic(true),
	json.WithMarshalers(json.JoinMarshalers(
		json.MarshalToFunc(fractionStays[float64]),
		json.MarshalToFunc(fractionStays[float32]),
	)),
)

var reading = json.JoinOptions(
	jsontext.AllowDuplicateNames(true),
	json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(exactNumber),
		json.UnmarshalFromFunc(noStrayNull),
	)),
)

// Write is a value as JSON.
func Write(value any) ([]byte, error) {
	return json.Marshal(value, writing)
}

// Read reads JSON into what a pointer points to.
func Read(text []byte, into any) error {
	if depthOf(text) > maxDepth {
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	return json.Unmarshal(text, into, reading)
}

// depthOf is how many lists and objects are within one another at most.
func depthOf(text []byte) (deepest int) {
	depth, isInText := 0, false
	for index := 0; index < len(text); index++ {
		switch character := text[index]; {
		case character == '"':
			isInText = !isInText
		case isInText:
			if character == '\\' {
				index++
			}
		case character == '[' || character == '{':
			depth++
			deepest = max(deepest, depth)
		case character == ']' || character == '}':
			depth--
		}
	}
	return deepest
}

// fractionStays writes 2 as 2.0, so that what was no integer is none for the caller.
func fractionStays[F float32 | float64](encoder *jsontext.Encoder, number F) error {
	wide := float64(number)
	container, written := encoder.StackIndex(encoder.StackDepth())
	isName := container == jsontext.KindBeginObject && written%2 == 0
	// Of what is to be text there is an own way, and an exponent says by itself that it is no integer.
	if isName || wide != math.Trunc(wide) || math.Abs(wide) >= 1e21 || stringified(encoder.Options()) {
		return errors.ErrUnsupported
	}
	return encoder.WriteValue(strconv.AppendFloat(nil, wide, 'f', 1, 64))
}

func stringified(options json.Options) bool {
	isSet, _ := json.GetOption(options, json.StringifyNumbers)
	return isSet
}

// exactNumber reads a whole number as an int64 or a uint64 where no other type is asked for: as a float64 large ones
// would become others.
func exactNumber(decoder *jsontext.Decoder, value *any) error {
	if decoder.PeekKind() != jsontext.KindNumber {
		return errors.ErrUnsupported
	}
	raw, err := decoder.ReadValue()
	if err != nil {
		return err
	}
	text := string(raw)
	if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
		*value = whole
		return nil
	}
	if whole, err := strconv.ParseUint(text, 10, 64); err == nil {
		*value = whole
		return nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%s is larger than a number can be", shown(raw))
	}
	*value = number
	return nil
}

// noStrayNull refuses null where Go's own reading would make it a zero, which is a value like any other.
func noStrayNull(decoder *jsontext.Decoder, value any) error {
	if decoder.PeekKind() != jsontext.KindNull {
		return errors.ErrUnsupported
	}
	of := reflect.TypeOf(value).Elem()
	if of.Kind() == reflect.Pointer || of.Kind() == reflect.Interface || readsItself(of) && !isTime(of) {
		return errors.ErrUnsupported
	}
	return &json.SemanticError{JSONKind: jsontext.KindNull, GoType: of}
}

// readsItself tells whether a type has its own way of reading JSON.
func readsItself(of reflect.Type) bool {
	pointer := reflect.PointerTo(of)
	return pointer.Implements(reflect.TypeFor[json.UnmarshalerFrom]()) ||
		pointer.Implements(reflect.TypeFor[json.Unmarshaler]())
}

// isTime tells the types of package time, whose JSON is encoding/json's own matter.
func isTime(of reflect.Type) bool {
	return of == reflect.TypeFor[time.Time]() || of == reflect.TypeFor[time.Duration]()
}

// Problem says in a caller's words why a value cannot be read or written.
func Problem(err error) string {
	semantic, isOne := errors.AsType[*json.SemanticError](err)
	if !isOne {
		// How the packages of JSON are called means nothing to a caller.
		return strings.TrimPrefix(strings.TrimPrefix(err.Error(), "json: "), "jsontext: ")
	}
	of := semantic.GoType
	isWriting := semantic.JSONKind == 0
	var problem string
	switch {
	case semantic.Err != nil && (isWriting || of == nil || readsItself(of) || isTime(of)):
		problem = semantic.Err.Error()
	case isWriting:
		problem = fmt.Sprintf("a %v has no form in JSON", of)
	default:
		problem = wanted(of) + " is needed, not " + found(semantic)
	}
	if semantic.JSONPointer != "" {
		problem = "at " + string(semantic.JSONPointer) + ": " + problem
	}
	return problem
}

func wanted(of reflect.Type) string {
	switch {
	case of == nil:
		return "another value"
	case of == reflect.TypeFor[time.Time]():
		return "a time as in RFC 3339"
	case of.Kind() == reflect.Pointer:
		return wanted(of.Elem())
	}
	switch of.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("an integer of %d bits", of.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("an integer of %d bits that is not negative", of.Bits())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return of.String()
}

func found(semantic *json.SemanticError) string {
	switch semantic.JSONKind {
	case jsontext.KindNumber:
		return shown(semantic.JSONValue)
	case jsontext.KindString:
		return "text"
	case jsontext.KindBeginArray:
		return "a list"
	case jsontext.KindBeginObject:
		return "an object"
	}
	return semantic.JSONKind.String()
}

// shown is a number, unless it is unknown or so long that it would hide the rest of a message.
func shown(number jsontext.Value) string {
	if len(number) == 0 || len(number) > 40 {
		return "a number"
	}
	return string(number)
}
