// Command scan looks for bpffs in the way of most programs: it reads the whole
// mount table.
package main

import (
	"log"

	"github.com/moby/sys/mountinfo"
)

func main() {
	if _, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("bpf")); err != nil {
		log.Fatal(err)
	}
}
