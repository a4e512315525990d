// A stock of items in a bucket, which orders more of what runs out.
package main

import (
	"strconv"
	"strings"

	endpointd "github.com/endpointd/endpointd/guest-sdk/go"
)

// An item is what is stored under item/NAME.
type item struct {
	Name     string  `json:"name"`
	Quantity int64   `json:"quantity"`
	Note     *string `json:"note"`
	By       *string `json:"by"`
}

var suppliers = endpointd.Target{Topic: "suppliers", Version: "1.0"}

func init() {
	endpointd.Serve("1.1").
		Method("put", put).
		Method("get", get).
		Method("list", list).
		Method("count", count).
		Method("checksum", checksum)
}

func main() {}

// expected is an exception of this endpoint's interface.
func expected(class, message string, kwargs map[string]any) *endpointd.Failure {
	return &endpointd.Failure{
		Class:    class,
		Module:   "inventory.exceptions",
		Message:  message,
		Kwargs:   kwargs,
		Expected: true,
	}
}

type putArguments struct {
	Name     string  `json:"name"`
	Quantity int64   `json:"quantity"`
	Note     *string `json:"note"`
}

type putResult struct {
	item
	Previous *int64  `json:"previous"`
	Order    *string `json:"order"`
}

// put sets how many there are of an item, and orders more where that is too few.
func put(ctx *endpointd.Context, args putArguments) (*putResult, error) {
	if args.Name == "" {
		return nil, endpointd.Failf("ValueError", "a name is needed")
	}
	if args.Quantity < 0 {
		message := "the quantity of " + args.Name + " cannot be " + strconv.FormatInt(args.Quantity, 10)
		return nil, expected("InvalidQuantity", message, map[string]any{"name": args.Name, "quantity": args.Quantity})
	}
	stock, err := endpointd.OpenBucket("inventory")
	if err != nil {
		return nil, err
	}
	result := &putResult{item: item{Name: args.Name, Quantity: args.Quantity, Note: args.Note}}
	if user, isText := ctx.Text("user"); isText {
		result.By = &user
	}
	before, err := stock.UpdateJSON("item/"+args.Name, func(*item) (item, error) { return result.item, nil })
	if err != nil {
		return nil, err
	}
	if before != nil {
		result.Previous = &before.Quantity
	}
	if _, err := stock.Increment("puts", 1); err != nil {
		return nil, err
	}
	endpointd.Info.Logf("%s: %d, by request %s", args.Name, args.Quantity, ctx.ID())
	result.Order, err = order(args.Name, args.Quantity)
	return result, err
}

// order orders what is missing, where the operator said how much there should be.
func order(name string, quantity int64) (*string, error) {
	integer := func(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }
	enough, err := endpointd.ParseSetting("reorder_below", 0, integer)
	if err != nil || quantity >= enough {
		return nil, err
	}
	return suppliers.Call[*string]("order", map[string]any{"name": name, "quantity": enough - quantity})
}

func get(_ *endpointd.Context, args struct {
	Name string `json:"name"`
}) (*item, error) {
	stock, err := endpointd.OpenBucket("inventory")
	if err != nil {
		return nil, err
	}
	found, err := stock.GetJSON[item]("item/" + args.Name)
	if found == nil && err == nil {
		return nil, expected("ItemNotFound", "there is no item "+args.Name, map[string]any{"name": args.Name})
	}
	return found, err
}

func list(_ *endpointd.Context, args struct {
	Prefix string `json:"prefix,omitzero"`
}) ([]string, error) {
	_, names, err := stored(args.Prefix)
	return names, err
}

// stored is the bucket, and the names in it that begin with a prefix.
func stored(prefix string) (stock *endpointd.Bucket, names []string, err error) {
	stock, err = endpointd.OpenBucket("inventory")
	if err != nil {
		return nil, nil, err
	}
	keys, err := stock.Keys()
	for _, key := range keys {
		if name, isItem := strings.CutPrefix(key, "item/"); isItem && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return stock, names, err
}

type total struct {
	Items    int   `json:"items"`
	Quantity int64 `json:"quantity"`
	Puts     int64 `json:"puts"`
}

func count(*endpointd.Context, struct{}) (counted total, err error) {
	stock, names, err := stored("")
	if err != nil {
		return counted, err
	}
	for _, name := range names {
		found, err := stock.GetJSON[item]("item/" + name)
		if err != nil {
			return counted, err
		}
		if found != nil {
			counted.Items++
			counted.Quantity += found.Quantity
		}
	}
	puts, err := stock.GetJSON[int64]("puts")
	if puts != nil {
		counted.Puts = *puts
	}
	return counted, err
}

// checksum is FNV-1a over every name, as often as one likes.
func checksum(_ *endpointd.Context, args struct {
	Rounds uint64 `json:"rounds" default:"1"`
}) (uint32, error) {
	_, names, err := stored("")
	if err != nil {
		return 0, err
	}
	sum := uint32(2166136261)
	for range args.Rounds {
		for _, name := range names {
			for _, character := range []byte(name) {
				sum = (sum ^ uint32(character)) * 16777619
			}
		}
	}
	return sum, nil
}
