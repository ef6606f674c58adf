package node

import "github.com/cilium/ebpf"

// Counters is what pktcount has counted for a pod: received is what went to it.
type Counters struct {
	Received, Sent Count
}

// A Count is the value of a pod's map, the sum over all CPUs.
type Count struct {
	Packets, Bytes uint64
}

// Counters reads the pod's own map.
func (p *Pod) Counters() (Counters, error) { return ReadCounters(p.Pins["stats_"]) }

// ReadCounters reads the map that is pinned at the path.
func ReadCounters(pin string) (c Counters, err error) {
	m, err := ebpf.LoadPinnedMap(pin, nil)
	if err != nil {
		return c, err
	}
	defer m.Close()
	for key, sum := range []*Count{&c.Received, &c.Sent} {
		var perCPU []Count
		if err := m.Lookup(uint32(key), &perCPU); err != nil {
			return c, err
		}
		for _, v := range perCPU {
			sum.Packets += v.Packets
			sum.Bytes += v.Bytes
		}
	}
	return c, nil
}

// Minus returns what was counted since before.
func (c Counters) Minus(before Counters) Counters {
	return Counters{c.Received.minus(before.Received), c.Sent.minus(before.Sent)}
}

func (c Count) minus(before Count) Count {
	return Count{c.Packets - before.Packets, c.Bytes - before.Bytes}
}
