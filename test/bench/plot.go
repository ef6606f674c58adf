package main

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// A series is how long programs took at growing numbers of something.
type series struct {
	at    []int
	times map[string][]float64 // in ms, by the program; may end early
}

func (s *series) add(at int, measured samples) {
	if s.times == nil {
		s.times = make(map[string][]float64)
	}
	s.at = append(s.at, at)
	for name := range measured {
		s.times[name] = append(s.times[name], float64(measured.median(name))/float64(time.Millisecond))
	}
}

// A curve is a program of a series as it is drawn: with the class of its style.
type curve struct{ name, label, class string }

// A panel is one diagram: both axes are logarithmic, the lower one of 1+x, so
// that it begins at 0.
type panel struct {
	left             float64
	title            string
	data             series
	curves           []curve
	fastest, slowest float64
}

// The drawing, in its own units.
const (
	panelWidth  = 330.0
	panelHeight = 250.0
	panelTop    = 78.0
	drawing     = 900.0
)

// plot draws the time of ADD against mounts and against endpoints, beside those
// whose work grows. A browser shows it in the colours of the reader's choice.
func (l *lab) plot() []byte {
	var b bytes.Buffer
	b.WriteString(plotHead)
	add := curve{"ADD", "bpffs ADD", "add"}
	empty := curve{"empty", "an empty program", "empty"}
	left := panel{
		left: 70, title: "mounts on the node", data: l.byMounts,
		curves: []curve{{"scan", "one read of the mount table", "other"}, add, empty},
	}
	right := panel{
		left: 520, title: "endpoints (host-local: addresses) on the node", data: l.byEndpoints,
		curves: []curve{{"host-local", "host-local ADD", "other"}, add, empty},
	}
	fastest, slowest := left.decades(right)
	for _, p := range []panel{left, right} {
		p.fastest, p.slowest = fastest, slowest
		p.draw(&b)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// decades returns the powers of ten that enclose all times of both panels.
func (p panel) decades(other panel) (fastest, slowest float64) {
	fastest, slowest = math.Inf(1), 0
	for _, s := range []series{p.data, other.data} {
		for _, times := range s.times {
			for _, t := range times {
				fastest, slowest = min(fastest, t), max(slowest, t)
			}
		}
	}
	return math.Pow(10, math.Floor(math.Log10(fastest))), math.Pow(10, math.Ceil(math.Log10(slowest)))
}

func (p panel) x(n int) float64 {
	most := p.data.at[len(p.data.at)-1]
	least := p.data.at[0]
	from, to := math.Log10(float64(least+1)), math.Log10(float64(most+1))
	return p.left + panelWidth*(math.Log10(float64(n+1))-from)/(to-from)
}

func (p panel) y(ms float64) float64 {
	part := math.Log10(ms/p.fastest) / math.Log10(p.slowest/p.fastest)
	return panelTop + panelHeight*(1-part)
}

func (p panel) draw(b *bytes.Buffer) {
	p.drawAxes(b)
	for _, c := range p.curves {
		times := p.data.times[c.name]
		fmt.Fprintf(b, `<polyline class="%s" points="`, c.class)
		for i, t := range times {
			fmt.Fprintf(b, "%.1f,%.1f ", p.x(p.data.at[i]), p.y(t))
		}
		b.WriteString("\"/>\n")
		for i, t := range times {
			fmt.Fprintf(b, `<circle class="%s" cx="%.1f" cy="%.1f" r="3"><title>%s: %.2f ms at %s</title></circle>`+"\n",
				c.class, p.x(p.data.at[i]), p.y(t), c.label, t, thousands(p.data.at[i]))
		}
	}
	p.drawLegend(b)
}

func (p panel) drawAxes(b *bytes.Buffer) {
	bottom := panelTop + panelHeight
	for t := p.fastest; t <= p.slowest*1.01; t *= 10 {
		y := p.y(t)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, p.left, y, p.left+panelWidth, y)
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="end">%g ms</text>`+"\n", p.left-8, y+4, t)
	}
	ticks := []int{p.data.at[0]}
	most := p.data.at[len(p.data.at)-1]
	for n := 10; n < most; n *= 10 {
		if p.x(n)-p.left > 30 && p.left+panelWidth-p.x(n) > 40 {
			ticks = append(ticks, n)
		}
	}
	for _, n := range append(ticks, most) {
		x := p.x(n)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x, panelTop, x, bottom+5)
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x, bottom+19, thousands(n))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", p.left+panelWidth/2, bottom+40, p.title)
}

// drawLegend writes the label of each curve in a row above the panel.
func (p panel) drawLegend(b *bytes.Buffer) {
	x := p.left
	for _, c := range p.curves {
		fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, c.class, x, panelTop-22, x+16, panelTop-22)
		fmt.Fprintf(b, `<text class="tick" x="%.1f" y="%.1f">%s</text>`+"\n", x+21, panelTop-18, c.label)
		x += 33 + 6.2*float64(len(c.label))
	}
}

// plotHead begins the drawing. Its colours can be told apart by readers who do
// not see all colours, on light and on dark grounds.
const plotHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 385" role="img" ` +
	`font-family="system-ui, sans-serif" font-size="13">
<title>Time of a call, from the start of the process to its end</title>
<style>
  .ground { fill: #fff } text { fill: #1f2328 } .tick { font-size: 12px; fill: #59636e }
  .grid { stroke: #d1d9e0 } polyline { fill: none }
  polyline, line.add, line.empty, line.other { stroke-width: 2 }
  .add { stroke: #0969da } .empty { stroke: #8c959f } .other { stroke: #bc4c00 }
  circle.add { fill: #0969da } circle.empty { fill: #8c959f } circle.other { fill: #bc4c00 }
  polyline.empty, line.empty { stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #f0f6fc } .tick { fill: #9198a1 } .grid { stroke: #3d444d }
    .add { stroke: #4493f8 } .empty { stroke: #9198a1 } .other { stroke: #f0883e }
    circle.add { fill: #4493f8 } circle.empty { fill: #9198a1 } circle.other { fill: #f0883e }
  }
</style>
<rect class="ground" width="900" height="385"/>
<text x="450" y="26" text-anchor="middle" font-size="16">Time of a call, from the start of the process to its end (median)</text>
`
