// Command scan looks for a bpffs at /sys/fs/bpf in the way of most programs: it
// reads the whole mount table.
package main

import (
	"log"

	"github.com/moby/sys/mountinfo"
)

func main() {
	if _, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter("/sys/fs/bpf")); err != nil {
		log.Fatal(err)
	}
}
