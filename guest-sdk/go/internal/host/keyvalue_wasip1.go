package host

import "unsafe"

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 open
func storeOpen(identifier string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [method]bucket.get
func bucketGet(bucket uint32, key string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [method]bucket.set
func bucketSet(bucket uint32, key, value string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [method]bucket.delete
func bucketDelete(bucket uint32, key string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [method]bucket.exists
func bucketExists(bucket uint32, key string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft2 [method]bucket.list-keys
func bucketListKeys(bucket, hasCursor uint32, cursor string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/atomics@0.2.0-draft2 increment
func atomicsIncrement(bucket uint32, key string, delta int64, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/atomics@0.2.0-draft2 [static]cas.new-with-read
func casNewWithRead(bucket uint32, key string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/atomics@0.2.0-draft2 swap
func atomicsSwap(cas uint32, value string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/atomics@0.2.0-draft2 [resource-drop]cas
func casDrop(cas uint32)

// A Bucket is the host's handle of an open one.
type Bucket uint32

// Handles are few, and an instance may live long: each bucket is opened once.
var opened = map[string]Bucket{}

// OpenBucket opens the bucket of a name.
func OpenBucket(name string) (Bucket, *StoreError) {
	if bucket, isOpen := opened[name]; isOpen {
		return bucket, nil
	}
	begin()
	defer end()
	storeOpen(name, unsafe.Pointer(&area))
	bucket, problem := Bucket(at(4)), storeError(4)
	if problem == nil {
		opened[name] = bucket
	}
	return bucket, problem
}

// Get is the value of a key, or nil.
func (b Bucket) Get(key string) ([]byte, *StoreError) {
	begin()
	defer end()
	bucketGet(uint32(b), key, unsafe.Pointer(&area))
	problem := storeError(4)
	var value []byte
	if problem == nil {
		value = bytesIn(4)
	}
	return value, problem
}

// Set sets the value of a key.
func (b Bucket) Set(key string, value []byte) *StoreError {
	begin()
	defer end()
	bucketSet(uint32(b), key, unsafe.String(unsafe.SliceData(value), len(value)), unsafe.Pointer(&area))
	problem := storeError(4)
	return problem
}

// Delete removes a key.
func (b Bucket) Delete(key string) *StoreError {
	begin()
	defer end()
	bucketDelete(uint32(b), key, unsafe.Pointer(&area))
	problem := storeError(4)
	return problem
}

// Exists tells whether a key has a value.
func (b Bucket) Exists(key string) (bool, *StoreError) {
	begin()
	defer end()
	bucketExists(uint32(b), key, unsafe.Pointer(&area))
	exists, problem := tagAt(4) == 1, storeError(4)
	return exists, problem
}

// Keys are all keys, page by page.
func (b Bucket) Keys() ([]string, *StoreError) {
	begin()
	defer end()
	var keys []string
	var cursor *string
	for {
		var hasCursor uint32
		var from string
		if cursor != nil {
			hasCursor, from = 1, *cursor
		}
		bucketListKeys(uint32(b), hasCursor, from, unsafe.Pointer(&area))
		problem := storeError(4)
		if problem == nil {
			for words := wordsAt(at(4), at(8)*2); len(words) > 0; words = words[2:] {
				keys = append(keys, textAt(words[0], words[1]))
			}
			cursor = optionIn(12)
		}
		release()
		if problem != nil || cursor == nil {
			return keys, problem
		}
	}
}

// Increment adds to a number, and gives the sum.
func (b Bucket) Increment(key string, delta int64) (int64, *StoreError) {
	begin()
	defer end()
	atomicsIncrement(uint32(b), key, delta, unsafe.Pointer(&area))
	sum, problem := int64(area[1]), storeError(8)
	return sum, problem
}

// A Swap is a value as it was read, to be replaced only if it has not changed since.
type Swap struct {
	cas uint32
}

// ReadToSwap begins a swap: what there is, or nil.
func (b Bucket) ReadToSwap(key string) (*Swap, []byte, *StoreError) {
	begin()
	defer end()
	casNewWithRead(uint32(b), key, unsafe.Pointer(&area))
	if problem := storeError(4); problem != nil {
		return nil, nil, problem
	}
	return &Swap{at(4)}, bytesIn(8), nil
}

// Swap replaces the value and ends the swap. Where somebody else wrote first, it gives the one to try again with,
// and what there is now.
func (s *Swap) Swap(value []byte) (again *Swap, newer []byte, problem *StoreError) {
	begin()
	defer end()
	atomicsSwap(s.cas, unsafe.String(unsafe.SliceData(value), len(value)), unsafe.Pointer(&area))
	switch {
	case tagAt(0) == 0:
		return nil, nil, nil
	case tagAt(4) == 0:
		return nil, nil, storeError(8)
	}
	return &Swap{at(8)}, bytesIn(12), nil
}

// GiveUp ends a swap without writing.
func (s *Swap) GiveUp() {
	casDrop(s.cas)
}

// storeError is the error in the area, if there is one, whose case is at this byte.
func storeError(offset int) *StoreError {
	if tagAt(0) == 0 {
		return nil
	}
	problem := &StoreError{Problem: StoreProblem(tagAt(offset))}
	if problem.Problem == Other {
		problem.Text = textIn(offset + 4)
	}
	return problem
}

// bytesIn are the bytes that may be absent, at a byte of the area.
func bytesIn(offset int) []byte {
	text := optionIn(offset)
	switch {
	case text == nil:
		return nil
	case *text == "":
		return []byte{}
	}
	// Nobody else has that text.
	return unsafe.Slice(unsafe.StringData(*text), len(*text))
}
