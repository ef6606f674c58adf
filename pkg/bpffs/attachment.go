package bpffs

import (
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"path"
	"strings"
)

// An Attachment is CNI's identity of one interface of one container on one
// network (CNI specification 1.1.0, section 2, "Attachment parameters").
type Attachment struct {
	Network     string
	ContainerID string
	IfName      string
}

// String returns the attachment as messages show it.
func (a Attachment) String() string {
	return fmt.Sprintf("attachment %s of container %s to network %s", a.IfName, a.ContainerID, a.Network)
}

// Check reports why there can be no record of the attachment: a part of it is
// empty or longer than a name in a file system can be (255 bytes, each dot and
// slash counting as three).
func (a Attachment) Check() error {
	for _, part := range []struct{ what, value string }{
		{"network name", a.Network}, {"container ID", a.ContainerID}, {"interface name", a.IfName},
	} {
		if err := checkName(escape(part.value)); err != nil {
			return fmt.Errorf("%s %.300q: %w", part.what, part.value, err)
		}
	}
	return nil
}

// CheckNetwork reports why there can be no record of an attachment to the network,
// see [Attachment.Check].
func CheckNetwork(name string) error {
	return checkName(escape(name))
}

// path returns the three names that stand for the attachment.
func (a Attachment) path() string {
	return path.Join(escape(a.Network), escape(a.ContainerID), escape(a.IfName))
}

// parseAttachment undoes path.
func parseAttachment(p string) (a Attachment, err error) {
	parts := strings.Split(p, "/")
	if len(parts) != 3 {
		return a, fmt.Errorf("%q is not an attachment: wanted three names", p)
	}
	for i, dst := range []*string{&a.Network, &a.ContainerID, &a.IfName} {
		if *dst, err = unescape(parts[i]); err != nil {
			return a, err
		}
	}
	return a, a.Check()
}

// candidates returns every endpoint ID once, in an order of the attachment's
// own: the same container tends to get the same ID, and a freed ID is not taken
// at once by the next container.
//
// It steps through the integers modulo the prime 65537, so that any step meets
// all of them; unlike stepping by one this keeps the search short on a node that
// is nearly full.
func (a Attachment) candidates() iter.Seq[uint16] {
	const prime = 65537
	h := fnv.New64a()
	io.WriteString(h, a.path())
	sum := h.Sum64()
	n, step := sum%prime, 1+(sum>>32)%(prime-1)
	return func(yield func(uint16) bool) {
		for range prime {
			n = (n + step) % prime
			if 0 < n && n < prime-1 && !yield(uint16(n)) {
				return
			}
		}
	}
}
