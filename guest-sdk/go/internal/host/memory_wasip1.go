package host

import (
	"runtime/debug"
	"strings"
	"sync"
	"unsafe"
)

// The host hands over text and lists by way of cabi_realloc, in which no import may be called. Go's collector reads
// the clock, which is an import: so it is off whenever the host may allocate, and on while a method computes.

// What does not fit is taken from Go's heap. Before the runtime is up there is no heap yet, and what adapts wasip1
// allocates then: this must have room for that.
var (
	arena     [32 << 10]uint64
	arenaTop  uintptr
	arenaBase uintptr
	spilled   [][]uint64
)

func init() {
	arenaBase = arenaTop
	debug.SetGCPercent(-1)
}

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, alignment, size uint32) unsafe.Pointer {
	if size == 0 {
		return unsafe.Add(nil, alignment)
	}
	start := (arenaTop + uintptr(alignment) - 1) &^ (uintptr(alignment) - 1)
	var block unsafe.Pointer
	if top := start + uintptr(size); top <= unsafe.Sizeof(arena) {
		block, arenaTop = unsafe.Add(unsafe.Pointer(&arena), start), top
	} else {
		words := make([]uint64, (uintptr(size)+7)/8)
		spilled = append(spilled, words)
		block = unsafe.Pointer(&words[0])
	}
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(block), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return block
}

// Goroutines take turns at the host: what it leaves behind is in the same place for all, and a collection that one of
// them lets begin must not go on while it allocates for another.
var (
	turn            sync.Mutex
	collectorBefore int
)

// begin makes everything ready for the host to allocate. It waits for a collection in progress.
func begin() {
	turn.Lock()
	collectorBefore = debug.SetGCPercent(-1)
}

// end gives back what the host allocated, once all of it was read. While the plugin is loaded the collector stays off.
func end() {
	release()
	debug.SetGCPercent(collectorBefore)
	turn.Unlock()
}

func release() {
	clear(spilled)
	spilled, arenaTop = spilled[:0], arenaBase
}

// enter begins a call of the plugin: what it was given has been read, and what it returned before is no longer needed.
func enter() {
	release()
	taken()
	debug.SetGCPercent(100)
}

// leave ends a call of the plugin: the host may allocate for the next.
func leave() {
	turn.Lock()
	debug.SetGCPercent(-1)
	turn.Unlock()
}

// textAt is the text of so many bytes at an address: a copy if it is in the arena, or else what the host wrote.
func textAt(address, length uint32) string {
	if length == 0 {
		return ""
	}
	text := unsafe.String((*byte)(unsafe.Add(nil, address)), length)
	if uintptr(address)-uintptr(unsafe.Pointer(&arena)) < unsafe.Sizeof(arena) {
		return strings.Clone(text)
	}
	return text
}

// wordsAt are so many numbers at an address, not copied.
func wordsAt(address, count uint32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Add(nil, address)), count)
}

// What the host is still to read: Go sees numbers only, which keep nothing alive.
var given []unsafe.Pointer

// giveText hands text to the host, as address and length.
func giveText(text string) (address, length uint32) {
	data := unsafe.Pointer(unsafe.StringData(text))
	given = append(given, data)
	return uint32(uintptr(data)), uint32(len(text))
}

// giveOption hands over text that may be absent.
func giveOption(text *string) (present, address, length uint32) {
	if text == nil {
		return 0, 0, 0
	}
	address, length = giveText(*text)
	return 1, address, length
}

// giveList hands over what the words describe, so many of them an element.
func giveList(words []uint32, wordsEach int) (address, count uint32) {
	data := unsafe.Pointer(unsafe.SliceData(words))
	given = append(given, data)
	return uint32(uintptr(data)), uint32(len(words) / wordsEach)
}

// giveTexts hands over a list of texts.
func giveTexts(texts []string) (address, count uint32) {
	var words []uint32
	for _, text := range texts {
		address, length := giveText(text)
		words = append(words, address, length)
	}
	return giveList(words, 2)
}

// taken ends what was given.
func taken() {
	clear(given)
	given = given[:0]
}

// Where an import leaves its result: at most 64 bytes, aligned to 8.
var area [8]uint64

// at is the number at a byte of the area.
func at(offset int) uint32 {
	return *(*uint32)(unsafe.Add(unsafe.Pointer(&area), offset))
}

// tagAt is the case at a byte of the area, which is one byte long.
func tagAt(offset int) uint32 {
	return at(offset) & 0xff
}

// textIn is the text whose address and length are at a byte of the area.
func textIn(offset int) string {
	return textAt(at(offset), at(offset+4))
}

// optionIn is the text that may be absent, at a byte of the area.
func optionIn(offset int) *string {
	if tagAt(offset) == 0 {
		return nil
	}
	text := textIn(offset + 4)
	return &text
}
