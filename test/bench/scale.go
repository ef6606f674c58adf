package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	fewEndpoints = 110 // kubelet's default for the pods of a node
	runsOfTools  = 3
	created1     = `{"name":"policy_",` + shape + `}`
)

// printScale measures what a node costs at its limits, and prints it as the rows of
// docs/scale.md.
func (l *lab) printScale(w io.Writer) error {
	if err := l.configure(); err != nil {
		return err
	}
	progress("measuring %s at once", thousands(manyAtOnce))
	atOnce, err := l.burst()
	if err != nil {
		return err
	}
	few, _, err := l.stand("few", fewEndpoints)
	if err != nil {
		return err
	}
	defer close(few)
	many, kernel, err := l.stand("many", l.opts.endpoints)
	if err != nil {
		return err
	}
	defer close(many)
	progress("measuring the verbs")
	rows, err := l.scaleOfVerbs(few, many)
	if err != nil {
		return err
	}
	progress("measuring bpffsctl")
	tools, err := l.scaleOfTools(few, many)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "| at once, on a node without a bpffs | half of them within | all within |\n|---|---|---|\n%s\n", atOnce)
	fmt.Fprintf(w, "| what | at %d endpoints | peak memory | at %s endpoints | peak memory |\n|---|---|---|---|---|\n", fewEndpoints, thousands(l.opts.endpoints))
	fmt.Fprint(w, strings.Join(append(rows, tools...), ""))
	fmt.Fprintf(w, "\n%s\n", kernel)
	l.printNoise(w)
	return nil
}

// scaleOfVerbs measures the verbs that containers wait for.
func (l *lab) scaleOfVerbs(few, many place) (rows []string, err error) {
	type side struct {
		place

		pod *pod
	}
	var subjects []subject
	pods := map[string]side{"few": {few, l.newPod(created1)}, "many": {many, l.newPod(created1)}}
	for name, s := range pods {
		verb := func(v string) subject { return s.measured(subject{v + " " + name, s.pod.subject("bpffs", v).once}) }
		subjects = append(subjects, s.measured(subject{"ADD " + name, s.pod.add}), verb("CHECK"), verb("DEL"), verb("STATUS"))
	}
	times, err := l.interleave(subjects...)
	if err != nil {
		return nil, err
	}
	for _, v := range []string{"ADD", "CHECK", "DEL", "STATUS"} {
		costs := make(map[string]cost)
		for name, p := range pods {
			err := p.do(func() error {
				kib, err := p.pod.peakOf(v)
				costs[name] = cost{times.median(v + " " + name), kib}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		rows = append(rows, scaleRow(v, costs["few"], costs["many"]))
	}
	return rows, nil
}

// scaleOfTools measures what is called for all endpoints at once. The last one removes
// them.
func (l *lab) scaleOfTools(few, many place) (rows []string, err error) {
	for _, t := range tools() {
		f, err := t.measure(l, few, fewEndpoints)
		if err != nil {
			return nil, err
		}
		m, err := t.measure(l, many, l.opts.endpoints)
		if err != nil {
			return nil, err
		}
		rows = append(rows, scaleRow(t.name, f, m))
	}
	return rows, many.do(func() error { return wantEndpoints(0) })
}

func scaleRow(what string, few, many cost) string {
	return fmt.Sprintf("| %s | %s | %d MiB | %s | %d MiB |\n", what, seconds(few.took), few.kib>>10, seconds(many.took), many.kib>>10)
}

// seconds writes a time with three digits that matter.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.3g s", d.Seconds())
}
