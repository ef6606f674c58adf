package reliability

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cni-bpffs/cni-bpffs/internal/testns"
)

// TestFull: all 65,535 IDs have a record. The error says so, and the first ID
// that is freed is found.
func TestFull(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	c := call{verb: "ADD", who: attachment{"net", "c", "eth0"}, root: root, maps: created}
	c.succeed(t)
	c.as("DEL").succeed(t)
	records := filepath.Join(root, "cni")
	for id := 1; id <= 65535; id++ {
		owner := fmt.Sprintf("full/c%05d/eth0", id)
		record, index := filepath.Join(records, "endpoints", fmt.Sprintf("%05d", id)), filepath.Join(records, "attachments", owner)
		testns.Must(t, os.MkdirAll(filepath.Dir(index), 0o700))
		testns.Must(t, os.Mkdir(record, 0o700))
		testns.Must(t, os.Symlink(owner, record+"/owner"))
		testns.Must(t, os.Symlink(filepath.Base(record), index))
	}
	c.fail(t, 103, "no endpoint ID is free", "65535", root)
	c.as("STATUS").fail(t, 50, "no endpoint ID is free", "65535", root)
	const freed = "31415"
	call{verb: "DEL", who: attachment{"full", "c" + freed, "eth0"}, root: root}.succeed(t)
	c.as("STATUS").succeed(t)
	id, err := c.succeed(t).ID()
	if err != nil || id != freed {
		t.Errorf("on a node with one ID left: got %q (%v), want %s", id, err, freed)
	}
	c.succeed(t) // again, on a full node
	another := c
	another.who.container = "another"
	another.fail(t, 103)
	c.as("DEL").succeed(t)
	another.succeed(t)
}
