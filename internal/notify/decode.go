package notify

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A header is what each event begins with (inotify(7), struct inotify_event).
type header struct {
	Watch  int32
	Mask   uint32
	Cookie uint32
	Length uint32 // of the name, with the zero bytes after it
}

// decode returns the events in what the kernel wrote. That the watch of a directory
// has ended is none: what ended it is one.
func decode(buf []byte) (events []Event, err error) {
	for r := bytes.NewReader(buf); r.Len() > 0; {
		var h header
		if err := binary.Read(r, binary.NativeEndian, &h); err != nil {
			return nil, fmt.Errorf("reading an event of inotify: %w", err)
		}
		if int64(h.Length) > int64(r.Len()) {
			return nil, fmt.Errorf("reading an event of inotify: %w", io.ErrUnexpectedEOF)
		}
		name := make([]byte, h.Length)
		r.Read(name) //nolint:errcheck // there are as many bytes
		name, _, _ = bytes.Cut(name, []byte{0})
		switch {
		case h.Mask&overflow != 0:
			events = append(events, Event{Lost: true})
		case h.Mask&ignored == 0:
			events = append(events, Event{Dir: Dir(h.Watch), Name: string(name)})
		}
	}
	return events, nil
}
