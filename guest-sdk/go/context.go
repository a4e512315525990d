package endpointd

import (
	"cmp"
	"time"

	"github.com/endpointd/endpointd/guest-sdk/go/internal/host"
	"github.com/endpointd/endpointd/guest-sdk/go/internal/rpcjson"
)

// A Context is the request being answered: who asks, and what is known of the call. The zero value has no entries.
type Context struct {
	json    string
	entries map[string]any
}

// NewContext is a context with the entries of a JSON object; any other text has none.
func NewContext(json string) *Context {
	return &Context{json: json}
}

// JSON is the request context as it came, the text of an object.
func (c *Context) JSON() string {
	return cmp.Or(c.json, "{}")
}

// Get is the entry of a name in the request context, or nil: a string, a bool, an int64 (a uint64
// where that is too small), a float64, a []any or a map[string]any.
func (c *Context) Get(name string) any {
	if c.entries == nil {
		c.entries = map[string]any{}
		// Text that is none leaves it as it is.
		_ = rpcjson.Read([]byte(c.JSON()), &c.entries)
	}
	return c.entries[name]
}

// Text is the entry of a name in the request context, if it is text.
func (c *Context) Text(name string) (text string, isText bool) {
	text, isText = c.Get(name).(string)
	return text, isText
}

// IsAdmin tells whether the caller is an administrator, as OpenStack's contexts say it.
func (c *Context) IsAdmin() bool {
	isAdmin, _ := c.Get("is_admin").(bool)
	return isAdmin
}

// Read is the request context as a type of your own; a ValueError if it does not fit.
func (c *Context) Read[T any]() (T, error) {
	var value T
	if err := rpcjson.Read([]byte(c.JSON()), &value); err != nil {
		return value, Failf("ValueError", "request context: %s", rpcjson.Problem(err))
	}
	return value, nil
}

// ID is the message's unique id, which the logs of both sides share; empty if the caller sent none.
func (c *Context) ID() string {
	return host.CallID()
}

// IsCast tells whether nobody waits for the result, which is dropped then.
func (c *Context) IsCast() bool {
	return host.IsCast()
}

// Remaining is what is left of the caller's time, where it is known.
func (c *Context) Remaining() (left time.Duration, isKnown bool) {
	milliseconds, isKnown := host.RemainingMs()
	return time.Duration(milliseconds) * time.Millisecond, isKnown
}

// HostStarted is when the host started: what was sent before that has waited while nobody served it.
func (c *Context) HostStarted() time.Time {
	return time.UnixMilli(int64(host.HostStartedMs()))
}
