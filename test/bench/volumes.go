package main

import (
	"os"
	"path/filepath"
)

// podUID is the pod whose volume the plugin fills.
const podUID = "5e0c1d8e-1111-2222-3333-444455556666"

// measureVolumes measures what pods cost that see their maps in a volume, beside the
// same pods before there was such a thing.
func (l *lab) measureVolumes() error {
	kubelet := l.path("kubelet")
	if err := os.MkdirAll(filepath.Join(kubelet, "pods", podUID, "volumes/kubernetes.io~empty-dir/asked"), 0o755); err != nil {
		return err
	}
	base := l.newPod(created4)
	silent, asks := l.newPod(seen4), l.newPod(seen4)
	silent.shows(kubelet, "not-asked")
	asks.shows(kubelet, "asked")
	s, err := l.interleave(subject{"base", base.addOnly}, subject{"silent", silent.addOnly}, subject{"asks", asks.addOnly})
	if err != nil {
		return err
	}
	l.add(s.row("ADD, 4 maps created, a pod that could see them and does not ask", "silent", "base", "4 created", atMost(1.02, 1.01)))
	r := s.row("ADD, 4 maps created, that the pod sees in two directories", "asks", "", "", bar{})
	r.value = float64(s.median("asks")-s.median("base")) / float64(s.median("empty"))
	r.unit, r.of, r.bar = "×", "empty, beyond 4 created", atMost(0.6, 0.4)
	l.add(r)
	return nil
}

// shows lets the pod see its maps in the volume, if kubelet has made it.
func (p *pod) shows(kubeletDir, volume string) {
	p.maps += `,"podVolume":"` + volume + `","kubeletDir":"` + kubeletDir + `"`
	p.args = "K8S_POD_UID=" + podUID
}
