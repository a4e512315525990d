//go:build !wasip1

package host

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
)

// A World is the host of a test: what it has, and what it does.
type World struct {
	Settings map[string]string
	Buckets  map[string]map[string][]byte
	// Why a bucket fails, by its name.
	Broken map[string]string
	Info   func() CallInfo
	Log    func(level uint32, text string)
	Send   func(Kind, Message) (string, *SendError)
}

// CallInfo is what is known of the call being answered.
type CallInfo struct {
	ID          string
	IsCast      bool
	RemainingMs *uint64
	StartedMs   uint64
}

// Current is the host that answers now. That of no test knows nothing and reaches nobody.
var Current = NewWorld()

// NewWorld is a host with nothing in it.
func NewWorld() *World {
	return &World{
		Settings: map[string]string{},
		Buckets:  map[string]map[string][]byte{},
		Broken:   map[string]string{},
		Info:     func() CallInfo { return CallInfo{} },
		Log:      func(uint32, string) {},
		Send: func(Kind, Message) (string, *SendError) {
			return "", &SendError{Problem: Unroutable}
		},
	}
}

// Log writes a line, at one of the contract's levels.
func Log(level uint32, text string) {
	Current.Log(level, text)
}

// Setting is the setting or secret of a name.
func Setting(name string) *string {
	if setting, isThere := Current.Settings[name]; isThere {
		return &setting
	}
	return nil
}

// Settings are all settings, by name.
func Settings() map[string]string {
	return maps.Clone(Current.Settings)
}

// CallID is the message's unique id.
func CallID() string {
	return Current.Info().ID
}

// IsCast tells whether nobody waits for the result.
func IsCast() bool {
	return Current.Info().IsCast
}

// RemainingMs is what is left of the caller's time, where it is known.
func RemainingMs() (milliseconds uint64, isKnown bool) {
	remaining := Current.Info().RemainingMs
	if remaining == nil {
		return 0, false
	}
	return *remaining, true
}

// HostStartedMs is when the host started, since 1970.
func HostStartedMs() uint64 {
	return Current.Info().StartedMs
}

// Send sends a message, and gives the result of a call.
func Send(kind Kind, message Message) (string, *SendError) {
	return Current.Send(kind, message)
}

// A Bucket is one of a test's host, by its name.
type Bucket string

// OpenBucket opens the bucket of a name.
func OpenBucket(name string) (Bucket, *StoreError) {
	return Bucket(name), nil
}

func (b Bucket) values() (map[string][]byte, *StoreError) {
	if reason, isBroken := Current.Broken[string(b)]; isBroken {
		return nil, &StoreError{Other, reason}
	}
	values := Current.Buckets[string(b)]
	if values == nil {
		values = map[string][]byte{}
		Current.Buckets[string(b)] = values
	}
	return values, nil
}

// Get is the value of a key, or nil.
func (b Bucket) Get(key string) ([]byte, *StoreError) {
	values, problem := b.values()
	return slices.Clone(values[key]), problem
}

// Set sets the value of a key.
func (b Bucket) Set(key string, value []byte) *StoreError {
	values, problem := b.values()
	if problem == nil {
		// An empty value is not the same as none.
		values[key] = append([]byte{}, value...)
	}
	return problem
}

// Delete removes a key.
func (b Bucket) Delete(key string) *StoreError {
	values, problem := b.values()
	delete(values, key)
	return problem
}

// Exists tells whether a key has a value.
func (b Bucket) Exists(key string) (bool, *StoreError) {
	values, problem := b.values()
	return values[key] != nil, problem
}

// Keys are all keys, in order.
func (b Bucket) Keys() ([]string, *StoreError) {
	values, problem := b.values()
	return slices.Sorted(maps.Keys(values)), problem
}

// Increment adds to a number, and gives the sum.
func (b Bucket) Increment(key string, delta int64) (int64, *StoreError) {
	value, problem := b.Get(key)
	if problem != nil {
		return 0, problem
	}
	number, err := strconv.ParseInt(cmp.Or(string(value), "0"), 10, 64)
	switch {
	case err != nil:
		return 0, &StoreError{Other, "not a decimal number"}
	case delta > 0 && number > math.MaxInt64-delta, delta < 0 && number < math.MinInt64-delta:
		return 0, &StoreError{Other, "the sum is larger than 64 bits"}
	}
	return number + delta, b.Set(key, strconv.AppendInt(nil, number+delta, 10))
}

// A Swap is a value as it was read, to be replaced only if it has not changed since.
type Swap struct {
	bucket   Bucket
	key      string
	expected []byte
}

// ReadToSwap begins a swap: what there is, or nil.
func (b Bucket) ReadToSwap(key string) (*Swap, []byte, *StoreError) {
	value, problem := b.Get(key)
	return &Swap{b, key, value}, slices.Clone(value), problem
}

// Swap replaces the value and ends the swap. Where somebody else wrote first, it gives the one to try again with,
// and what there is now.
func (s *Swap) Swap(value []byte) (again *Swap, newer []byte, problem *StoreError) {
	again, newer, problem = s.bucket.ReadToSwap(s.key)
	if problem != nil {
		return nil, nil, problem
	}
	if (newer == nil) != (s.expected == nil) || !bytes.Equal(newer, s.expected) {
		return again, newer, nil
	}
	return nil, nil, s.bucket.Set(s.key, value)
}

// GiveUp ends a swap without writing.
func (s *Swap) GiveUp() {}
