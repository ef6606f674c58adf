package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"

	"github.com/cni-bpffs/cni-bpffs/pkg/bpffs"
)

// show prints the counters of every container on the node.
func show(out io.Writer) error {
	root, err := bpffs.FindRoot()
	if err != nil {
		return err
	}
	endpoints, err := bpffs.LookUp(context.Background(), root, bpffs.Query{}) // all
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENDPOINT\tNETWORK\tCONTAINER\tINTERFACE\tRX PACKETS\tRX BYTES\tTX PACKETS\tTX BYTES")
	for _, ep := range endpoints {
		pin := ep.Pin(statsName)
		if pin == "" {
			continue // of another network
		}
		rx, tx, err := read(pin)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since it was listed
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%05d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n",
			ep.ID, ep.Attachment.Network, ep.Attachment.ContainerID, ep.Attachment.IfName,
			rx.Packets, rx.Bytes, tx.Packets, tx.Bytes)
	}
	return w.Flush()
}

// read returns what is counted in the map at pin, the sum over all CPUs.
func read(pin string) (rx, tx counters, err error) {
	stats, err := openStats(pin)
	if err != nil {
		return rx, tx, err
	}
	defer stats.Close()
	for key, sum := range []*counters{&rx, &tx} {
		var perCPU []counters
		if err := stats.Lookup(uint32(key), &perCPU); err != nil {
			return rx, tx, fmt.Errorf("%s: %w", pin, err)
		}
		for _, c := range perCPU {
			sum.Packets += c.Packets
			sum.Bytes += c.Bytes
		}
	}
	return rx, tx, nil
}
