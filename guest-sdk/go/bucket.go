package endpointd

import (
	"errors"

	"github.com/endpointd/endpointd/guest-sdk/go/internal/host"
	"github.com/endpointd/endpointd/guest-sdk/go/internal/rpcjson"
)

// Why a bucket could not be used, to be told apart with [errors.Is]. The caller of a method that returns one sees
// endpointd.BucketError.
var (
	// The operator did not grant the bucket.
	ErrBucketNotGranted = errors.New("the bucket is not granted to this plugin")
	// There is no bucket of this name.
	ErrNoSuchBucket = errors.New("there is no such bucket")
	// The bucket's backend failed.
	ErrBucketFailed = errors.New("the bucket failed")
	// A value is not JSON, or not that of the type asked for.
	ErrBucketValue = errors.New("a value of the bucket is not as expected")
)

func bucketError(problem error, message string) error {
	return &hostError{problem, &Failure{Class: "BucketError", Module: "endpointd", Message: message}}
}

// A Bucket is a key-value space that outlives the instance, and that plugins and hosts can share. What is written is
// safe when the call returns.
type Bucket struct {
	open host.Bucket
}

// OpenBucket opens the bucket that the operator granted under a name: `keyvalue = ["NAME"]` under [grants].
func OpenBucket(name string) (*Bucket, error) {
	open, problem := host.OpenBucket(name)
	switch {
	case problem == nil:
		return &Bucket{open}, nil
	case problem.Problem == host.AccessDenied:
		return nil, bucketError(ErrBucketNotGranted, "the bucket `"+name+"` is not granted to this plugin")
	case problem.Problem == host.NoSuchStore:
		return nil, bucketError(ErrNoSuchBucket, "there is no bucket `"+name+"`")
	}
	return nil, storeError(problem)
}

// storeError is what is wrong with an open bucket, whose name cannot be it.
func storeError(problem *host.StoreError) error {
	if problem == nil {
		return nil
	}
	reason := problem.Text
	switch problem.Problem {
	case host.NoSuchStore:
		reason = "it is gone"
	case host.AccessDenied:
		reason = "it is no longer granted"
	}
	return bucketError(ErrBucketFailed, "the bucket failed: "+reason)
}

// Get is the value of a key, or nil if there is none.
func (b *Bucket) Get(key string) ([]byte, error) {
	value, problem := b.open.Get(key)
	return value, storeError(problem)
}

// GetJSON is the value of a key, read as JSON, or nil if there is none.
func (b *Bucket) GetJSON[T any](key string) (*T, error) {
	value, err := b.Get(key)
	if err != nil {
		return nil, err
	}
	return readValue[T](value)
}

// Set sets the value of a key.
func (b *Bucket) Set(key string, value []byte) error {
	return storeError(b.open.Set(key, value))
}

// SetJSON sets the value of a key, written as JSON.
func (b *Bucket) SetJSON(key string, value any) error {
	text, err := writeValue(value)
	if err != nil {
		return err
	}
	return b.Set(key, text)
}

// Delete removes a key. Removing what is not there succeeds.
func (b *Bucket) Delete(key string) error {
	return storeError(b.open.Delete(key))
}

// Exists tells whether a key has a value.
func (b *Bucket) Exists(key string) (bool, error) {
	exists, problem := b.open.Exists(key)
	return exists, storeError(problem)
}

// Keys are all keys, in order.
func (b *Bucket) Keys() ([]string, error) {
	keys, problem := b.open.Keys()
	return keys, storeError(problem)
}

// Increment adds to a decimal number, which starts at 0, and gives the sum. Atomic.
func (b *Bucket) Increment(key string, delta int64) (int64, error) {
	sum, problem := b.open.Increment(key, delta)
	return sum, storeError(problem)
}

// UpdateJSON replaces a JSON value by what change makes of it, and gives the one that it replaced; before is nil if
// there is none.
//
// Atomic: if somebody else wrote meanwhile, change is called again with the newer value, so it must do nothing else. If
// it returns an error, nothing is written.
func (b *Bucket) UpdateJSON[T any](key string, change func(before *T) (T, error)) (before *T, err error) {
	swap, current, problem := b.open.ReadToSwap(key)
	if problem != nil {
		return nil, storeError(problem)
	}
	isOpen := true
	// Also where change panics, since the instance goes on after that.
	defer func() {
		if isOpen {
			swap.GiveUp()
		}
	}()
	for {
		before, text, err := changed(current, change)
		if err != nil {
			return nil, err
		}
		isOpen = false
		swap, current, problem = swap.Swap(text)
		if problem != nil {
			return nil, storeError(problem)
		}
		if swap == nil {
			return before, nil
		}
		isOpen = true
	}
}

func changed[T any](current []byte, change func(before *T) (T, error)) (before *T, text []byte, err error) {
	before, err = readValue[T](current)
	if err != nil {
		return nil, nil, err
	}
	after, err := change(before)
	if err != nil {
		return nil, nil, err
	}
	text, err = writeValue(after)
	return before, text, err
}

func readValue[T any](text []byte) (*T, error) {
	if text == nil {
		return nil, nil
	}
	value := new(T)
	if err := rpcjson.Read(text, value); err != nil {
		return nil, bucketError(ErrBucketValue, ErrBucketValue.Error()+": "+rpcjson.Problem(err))
	}
	return value, nil
}

func writeValue(value any) ([]byte, error) {
	text, err := rpcjson.Write(value)
	if err != nil {
		return nil, bucketError(ErrBucketValue, ErrBucketValue.Error()+": "+rpcjson.Problem(err))
	}
	return text, nil
}
