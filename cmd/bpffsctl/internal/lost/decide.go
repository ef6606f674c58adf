package lost

import "time"

// A record tells one record of an endpoint from all others: after an ADD it is another
// one.
type record struct {
	root  string
	id    uint16
	stamp any // a [bpffs.Stamp], or whatever else can be compared
}

// Suspects are the records whose network namespace was gone at each look since that
// time, of a clock that nobody sets.
type suspects map[record]time.Duration

// decide returns which records are lost after a look, which began and ended then and
// found the network namespaces of these gone: those of which a look that ended as long
// before said the same. Whatever another look in between found starts the time anew,
// because only what this one found is kept.
func (s suspects) decide(gone []record, began, ended, after time.Duration) (lost map[record]bool, next suspects) {
	lost, next = make(map[record]bool), make(suspects, len(gone))
	for _, r := range gone {
		since, known := s[r]
		if !known {
			since = ended
		}
		next[r] = since
		if known && began-since >= after {
			lost[r] = true
		}
	}
	return lost, next
}
