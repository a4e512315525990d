package tests

import (
	"encoding/json/jsontext"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/endpointd/endpointd/guest-sdk/go/internal/rpcjson"
)

func TestNumbersStayWhatTheyAre(t *testing.T) {
	type named float64
	for _, one := range []struct {
		value any
		text  string
	}{
		{2.0, "2.0"},
		{float32(2), "2.0"},
		{-0.5, "-0.5"},
		{math.Copysign(0, -1), "-0.0"},
		{1e20, "100000000000000000000.0"},
		{1e21, "1e+21"},
		{int64(math.MinInt64), "-9223372036854775808"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{map[float64]int{2: 1}, `{"2":1}`},
		{struct {
			Text float64 `json:"text,string"`
		}{2.5}, `{"text":"2.5"}`},
		{named(2), "2"},
	} {
		text, err := rpcjson.Write(one.value)
		if string(text) != one.text || err != nil {
			t.Errorf("%v is written as %s, %v, and not as %s", one.value, text, err, one.text)
		}
	}
	for text, value := range map[string]any{
		"-9223372036854775808": int64(math.MinInt64),
		"9223372036854775807":  int64(math.MaxInt64),
		"18446744073709551615": uint64(math.MaxUint64),
		"1e2":                  100.0,
		"2.0":                  2.0,
		"[1,{\"a\":[2.0]}]":    []any{int64(1), map[string]any{"a": []any{2.0}}},
	} {
		var read any
		if err := rpcjson.Read([]byte(text), &read); err != nil || !reflect.DeepEqual(read, value) {
			t.Errorf("%s is read as %T %v, %v", text, read, read, err)
		}
	}
	var large *big.Int
	digits := "123456789012345678901234567890"
	if err := rpcjson.Read([]byte(digits), &large); err != nil || large.String() != digits {
		t.Error(large, err)
	}
	var raw jsontext.Value
	if err := rpcjson.Read([]byte(`{"a":1.0}`), &raw); err != nil || string(raw) != `{"a":1.0}` {
		t.Error(raw, err)
	}
}

func TestWhatIsNoJSONIsNotWritten(t *testing.T) {
	for _, one := range []struct {
		value   any
		problem string
	}{
		{math.NaN(), "unsupported value: NaN"},
		{[]float64{1, math.Inf(-1)}, "at /1: unsupported value: -Inf"},
		{float32(math.Inf(1)), "unsupported value: +Inf"},
		{map[string]any{"a": make(chan int)}, "at /a: a chan int has no form in JSON"},
		{"\xff", "invalid UTF-8"},
	} {
		_, err := rpcjson.Write(one.value)
		if err == nil || rpcjson.Problem(err) != one.problem {
			t.Errorf("%v: %v", one.value, err)
		}
	}
}

func TestWhatDoesNotFitIsSaid(t *testing.T) {
	type inner struct {
		Many []int `json:"many"`
	}
	for _, one := range []struct {
		text, problem string
		into          any
	}{
		{"1.0", "an integer of 64 bits is needed, not 1.0", new(int64)},
		{"1e2", "an integer of 64 bits is needed, not 1e2", new(int64)},
		{"9223372036854775808", "an integer of 64 bits is needed, not 9223372036854775808", new(int64)},
		{"1" + strings.Repeat("0", 50), "an integer of 64 bits is needed, not a number", new(int64)},
		{"-1", "an integer of 8 bits that is not negative is needed, not -1", new(uint8)},
		{"null", "text is needed, not null", new(string)},
		{"null", "a list is needed, not null", new([]int)},
		{"null", "a time as in RFC 3339 is needed, not null", new(time.Time)},
		{"5", "a time as in RFC 3339 is needed, not a number", new(time.Time)},
		{"[]", "an object is needed, not a list", new(inner)},
		{"true", "a number is needed, not true", new(*float64)},
		{`{"many":[1,"two"]}`, "at /many/1: an integer of 64 bits is needed, not text", new(inner)},
		{`{"many":[null]}`, "at /many/0: an integer of 64 bits is needed, not null", new(inner)},
		{"[1e400]", "at /0: 1e400 is larger than a number can be", new(any)},
		{strings.Repeat("[", 501) + strings.Repeat("]", 501), "it is nested more than 500 deep", new(any)},
	} {
		err := rpcjson.Read([]byte(one.text), one.into)
		if err == nil {
			t.Errorf("%s is read as %T", one.text, one.into)
		} else if found := rpcjson.Problem(err); found != one.problem {
			t.Errorf("%s as %T: %s", one.text, one.into, found)
		}
	}
	deep := strings.Repeat(`[{"\"[[":`, 250) + "1" + strings.Repeat("}]", 250)
	if err := rpcjson.Read([]byte(deep), new(any)); err != nil {
		t.Error(err)
	}
}
