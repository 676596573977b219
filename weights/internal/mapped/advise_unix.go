//go:build linux || darwin

package mapped

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Prefetch asks the system to read data, a part of a File's bytes, ahead.
func Prefetch(data []byte) error {
	data = pages(data, true)
	if len(data) == 0 {
		return nil
	}
	return unix.Madvise(data, unix.MADV_WILLNEED)
}

// Drop tells the system that data will not be needed soon; the pages that it
// shares with other bytes stay.
func Drop(data []byte) error {
	data = pages(data, false)
	if len(data) == 0 {
		return nil
	}
	return unix.Madvise(data, unix.MADV_DONTNEED)
}

// pages aligns data to the page boundary that madvise asks for: outwards by
// at most one page before its start (which the map holds), or inwards.
func pages(data []byte, outwards bool) []byte {
	if len(data) == 0 {
		return nil
	}
	page := uintptr(os.Getpagesize())
	start := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	if outwards {
		before := start % page
		return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(data)), -int(before))), uintptr(len(data))+before)
	}
	skip := (page - start%page) % page
	end := (start + uintptr(len(data))) / page * page
	if start+skip >= end {
		return nil
	}
	return data[skip : end-start]
}
