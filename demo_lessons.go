package main

import (
	"image"
	"image/color"
	"math"
	"strconv"
)

// lesson is one short film about this system. The demo content is made of them.
type lesson struct {
	Slug        string
	Number      int
	Title       string
	Description string
	Scenes      []scene
	Keep        string        // the sentence to keep, shown and said at the end
	Motif       func(*canvas) // the right half of title card and poster
}

// scene is one picture with what is said about it, sentence by sentence.
type scene struct {
	Heading string
	Beats   []beat
	Picture []pictureItem
}

// beat is one caption. Say is what the voice reads where it differs from
// Text; Hold is the silence after it, in seconds.
type beat struct {
	Text, Say string
	Hold      float64
}

// demoLessons returns the lessons in the order in which they are to be read.
func demoLessons() []lesson {
	return []lesson{
		watchAVideo(),
		streamsAndPositions(),
		countExactlyOnce(),
		postedTwice(),
		aPageThatListens(),
	}
}

func watchAVideo() lesson {
	return lesson{
		Slug:        "what-happens-when-you-watch-a-video",
		Number:      1,
		Title:       "What happens when you watch a video",
		Description: "One view on its way through this site, hop by hop: from the player to the event store, into a row of a table, and back to every open page.",
		Keep:        "A view is a fact, written once. Every number on a page is worked out from such facts.",
		Scenes: []scene{
			{
				Heading: "The page sends a request",
				Beats: []beat{
					{Text: "After ten seconds, or a third of a short video, the page sends one request."},
					{Text: "The application does not raise a counter. It writes down what happened: `VideoViewed`."},
				},
				Picture: []pictureItem{
					pageAt(80, 180, 330, 290),
					videoAt(98, 224, 294, 166),
					barAt(98, 404, 294, 5, inkHair),
					barAt(98, 404, 98, 5, inkSignal).fills(0.05, 0.5),
					textAt(98, 446, 0, faceMedium, 24, inkBlack, "41 views"),
					arrowOf("POST", 410, 325, 560, 325),
					partAt(560, 260, 220, 130, "Application", ""),
					arrowOf("write", 780, 325, 930, 325),
					storeAt(930, 230, 270, 190, "Message DB", "the event store"),
					textAt(80, 520, 0, faceMono, 20, inkSoft, "POST /record-viewing/7c1e…").appears(0.5),
					cardOf("POST").travels(0.55, 0.95, image.Pt(245, 325), image.Pt(670, 325)),
					markAt(560, 260, 220, 130).appears(0.95).disappears(1.5),
					cardOf("VideoViewed").travels(1.5, 1.9, image.Pt(670, 325), image.Pt(1065, 325)),
					markAt(930, 230, 270, 190).appears(1.9),
				},
			},
			{
				Heading: "One more event in a stream",
				Beats: []beat{
					{Text: "The event goes to the end of that video’s stream, `viewing-7c1e…`, and is never changed.", Say: "The event goes to the end of that video's stream, and is never changed."},
					{Text: "Then the database calls out that something is new. The call holds no data, it only wakes."},
				},
				Picture: []pictureItem{
					groupAt(80, 180, 760, 190, "Message DB"),
					textAt(112, 226, 0, faceMono, 21, inkBlack, "viewing-7c1e…"),
					slotAt(112, 254, 160, "0", "VideoViewed"),
					slotAt(292, 254, 160, "1", "VideoViewed"),
					slotAt(472, 254, 160, "2", "VideoViewed"),
					cardOf("VideoViewed").travels(0.1, 0.5, image.Pt(732, 150), image.Pt(732, 281)),
					slotAt(652, 254, 160, "3", "VideoViewed").appears(0.5),
					markAt(652, 254, 160, 54).appears(0.5).disappears(1),
					partAt(960, 210, 240, 130, "Aggregator", "asleep").disappears(1.85),
					arrowOf("", 840, 275, 960, 275),
					textAt(112, 480, 0, faceMono, 24, inkBlack, "NOTIFY messages, 'viewing 1042'").appears(1),
					textAt(112, 516, 0, faceText, 20, inkSoft, "category and global position, nothing else").appears(1.2),
					cardOf("viewing 1042").travels(1.35, 1.8, image.Pt(690, 472), image.Pt(900, 430), image.Pt(1080, 275)),
					partAt(960, 210, 240, 130, "Aggregator", "awake").appears(1.85),
					markAt(960, 210, 240, 130).appears(1.85),
				},
			},
			{
				Heading: "The aggregator counts",
				Beats: []beat{
					{Text: "The aggregator reads what is new since its checkpoint."},
					{Text: "In one transaction it raises the count and moves the checkpoint. Both happen, or neither."},
				},
				Picture: []pictureItem{
					storeAt(80, 250, 230, 150, "Message DB", "viewing …"),
					arrowOf("read", 310, 325, 450, 325),
					partAt(450, 260, 220, 130, "Aggregator", ""),
					arrowOf("write", 670, 325, 790, 325),
					groupAt(790, 170, 410, 330, "one transaction"),
					partAt(820, 212, 350, 110, "", ""),
					textAt(842, 248, 0, faceMono, 19, inkSoft, "view_counts"),
					textAt(842, 296, 0, faceMono, 25, inkBlack, "7c1e…"),
					textAt(1146, 297, 1, faceMonoBold, 32, inkBlack, "41").roll().disappears(1.45),
					textAt(1146, 297, 1, faceMonoBold, 32, inkSignal, "42").roll().appears(1.45),
					partAt(820, 352, 350, 110, "", ""),
					textAt(842, 388, 0, faceMono, 19, inkSoft, "checkpoint"),
					textAt(842, 436, 0, faceMono, 25, inkBlack, "viewcounts"),
					textAt(1146, 437, 1, faceMonoBold, 32, inkBlack, "1038").roll().disappears(1.6),
					textAt(1146, 437, 1, faceMonoBold, 32, inkSignal, "1042").roll().appears(1.6),
					cardOf("VideoViewed").travels(0.3, 0.95, image.Pt(195, 325), image.Pt(560, 325)),
					markAt(450, 260, 220, 130).appears(0.95).disappears(1.4),
					textAt(1200, 540, 1, faceMonoBold, 24, inkSignal, "COMMIT").appears(1.8),
				},
			},
			{
				Heading: "Every open page",
				Beats: []beat{
					{Text: "With the commit goes a second call. The server draws the new number once."},
					{Text: "And it sends it down the open line of every page. No reload: 41 becomes 42.", Say: "And it sends it down the open line of every page. No reload. Forty one becomes forty two."},
				},
				Picture: append([]pictureItem{
					storeAt(80, 260, 230, 130, "View data", "view_counts"),
					arrowOf("NOTIFY", 310, 325, 470, 325),
					partAt(470, 260, 220, 130, "Server", "41 views").disappears(0.6),
					partAt(470, 260, 220, 130, "Server", "42 views").appears(0.6),
					arrowOf("", 690, 325, 800, 325, 800, 200, 930, 200),
					arrowOf("", 690, 325, 930, 325),
					textAt(866, 297, 0.5, faceMono, 18, inkSoft, "SSE"),
					arrowOf("", 690, 325, 800, 325, 800, 450, 930, 450),
					cardOf("views").travels(0.15, 0.55, image.Pt(195, 325), image.Pt(580, 325)),
					markAt(470, 260, 220, 130).appears(0.55).disappears(1.1),
					cardOf("42").travels(1.05, 1.4, image.Pt(690, 325), image.Pt(800, 325), image.Pt(800, 200), image.Pt(930, 200)),
					cardOf("42").travels(1.05, 1.4, image.Pt(690, 325), image.Pt(930, 325)),
					cardOf("42").travels(1.05, 1.4, image.Pt(690, 325), image.Pt(800, 325), image.Pt(800, 450), image.Pt(930, 450)),
				}, threePages(1.4)...),
			},
		},
		Motif: func(c *canvas) {
			// One view going round: player, store, table, pages.
			hops := []vec{{1000, 130}, {1140, 260}, {1000, 390}, {1140, 520}, {1000, 640}}
			c.line(6, inkChalk, hops...)
			for i, p := range hops {
				c.disc(p.x, p.y, 40, inkNavy)
				c.ring(p.x, p.y, 38, 6, inkChalk)
				if i == 0 {
					c.fill(inkPaper, []vec{{p.x - 11, p.y - 17}, {p.x + 18, p.y}, {p.x - 11, p.y + 17}})
				}
			}
			last := hops[len(hops)-1]
			c.disc(last.x, last.y, 40, inkSignal)
		},
	}
}

// threePages are three readers whose count changes at the given beat.
func threePages(changes float64) []pictureItem {
	var all []pictureItem
	for i := range 3 {
		y := 145 + 125*float64(i)
		all = append(all,
			pageAt(930, y, 270, 110),
			textAt(1065, y+84, 0.5, faceBold, 38, inkBlack, "41").roll().disappears(changes),
			textAt(1065, y+84, 0.5, faceBold, 38, inkSignal, "42").roll().appears(changes))
	}
	return all
}

func streamsAndPositions() lesson {
	row := func(y float64, name string, messages ...string) []pictureItem {
		all := []pictureItem{textAt(80, y+34, 0, faceMono, 22, inkBlack, name)}
		for i, m := range messages {
			all = append(all, slotAt(420+210*float64(i), y, 190, strconv.Itoa(i), m))
		}
		return all
	}
	streams := func() []pictureItem {
		all := row(170, "viewing-7c1e…", "VideoViewed", "VideoViewed", "VideoViewed")
		all = append(all, row(290, "viewing-b20d…", "VideoViewed", "VideoViewed")...)
		return append(all, row(420, "videoPublishing-7c1e…", "VideoPublished", "VideoNamed")...)
	}
	return lesson{
		Slug:        "streams-categories-and-positions",
		Number:      2,
		Title:       "Streams, categories and positions",
		Description: "What a message is, where it stands, and the two numbers that make it possible to read in order and to write without treading on each other.",
		Keep:        "A stream keeps the order of one thing, and nobody writes past what they have not read.",
		Scenes: []scene{
			{
				Heading: "A message",
				Beats: []beat{
					{Text: "Everything here is kept as messages: small records with a type, some data and an id."},
					{Text: "An event says what has happened. A command asks for something, and may be refused."},
				},
				Picture: []pictureItem{
					partAt(80, 160, 540, 340, "", ""),
					textAt(116, 218, 0, faceMonoBold, 30, inkBlack, "VideoViewed"),
					barAt(116, 244, 468, 1, inkHair),
					textAt(116, 292, 0, faceMono, 20, inkSoft, "id"), textAt(250, 292, 0, faceMono, 20, inkBlack, "e8a04f51-…"),
					textAt(116, 344, 0, faceMono, 20, inkSoft, "data"), textAt(250, 344, 0, faceMono, 20, inkBlack, `{"videoId": "7c1e…"}`),
					textAt(116, 396, 0, faceMono, 20, inkSoft, "metadata"), textAt(250, 396, 0, faceMono, 20, inkBlack, `{"traceId": "51bd…"}`),
					textAt(116, 448, 0, faceMono, 20, inkSoft, "time"), textAt(250, 448, 0, faceMono, 20, inkBlack, "2026-11-22 16:40:07"),
					textAt(720, 226, 0, faceMedium, 26, inkSoft, "Event").appears(1),
					textAt(720, 272, 0, faceMonoBold, 32, inkBlack, "VideoNamed").appears(1),
					textAt(720, 308, 0, faceText, 22, inkSoft, "it is so, and stays so").appears(1),
					barAt(720, 346, 480, 1, inkHair).appears(1),
					textAt(720, 396, 0, faceMedium, 26, inkSoft, "Command").appears(1.45),
					textAt(720, 442, 0, faceMonoBold, 32, inkBlack, "NameVideo").appears(1.45),
					textAt(720, 478, 0, faceText, 22, inkSoft, "please do; the answer is an event").appears(1.45),
				},
			},
			{
				Heading: "Streams and categories",
				Beats: []beat{
					{Text: "Messages about one thing stand in one stream, in order. The first has position 0.", Say: "Messages about one thing stand in one stream, in order. The first has position zero."},
					{Text: "What stands before the first dash is the category: `viewing` is all views together.", Say: "What stands before the first dash is the category: viewing, is all views together."},
				},
				Picture: append(streams(),
					markAt(420, 170, 190, 54).appears(0.6).disappears(1),
					markAt(420, 290, 190, 54).appears(0.6).disappears(1),
					markAt(420, 420, 190, 54).appears(0.6).disappears(1),
					barAt(80, 212, 92, 4, inkSignal).fills(1.2, 1.4),
					barAt(80, 332, 92, 4, inkSignal).fills(1.3, 1.5),
					groupAt(60, 148, 1160, 238, "category viewing").appears(1.4),
				),
			},
			{
				Heading: "Two numbers",
				Beats: []beat{
					{Text: "The position counts inside one stream. The global position counts through the whole store."},
					{Text: "Whoever follows a category needs to remember one number: the global position of the last message read."},
				},
				Picture: twoNumbers(),
			},
			{
				Heading: "The expected version",
				Beats: []beat{
					{Text: "Two writers have read a stream up to position 2. Both write and say: I expect 2.", Say: "Two writers have read a stream up to position two. Both write, and say: I expect two."},
					{Text: "The first one wins. The other is refused, reads again and decides anew."},
				},
				Picture: []pictureItem{
					partAt(80, 170, 220, 110, "Writer A", "expects 2"),
					partAt(80, 390, 220, 110, "Writer B", "expects 2").disappears(1.85),
					partAt(80, 390, 220, 110, "Writer B", "expects 3").appears(1.85),
					groupAt(480, 200, 720, 240, "videoPublishing-7c1e…"),
					slotAt(506, 300, 150, "0", "…"),
					slotAt(678, 300, 150, "1", "…"),
					slotAt(850, 300, 150, "2", "VideoNamed"),
					arrowOf("", 300, 225, 400, 225, 400, 260, 480, 260),
					arrowOf("", 300, 445, 400, 445, 400, 410, 480, 410),
					cardOf("VideoNamed").travels(1.02, 1.3, image.Pt(190, 225), image.Pt(400, 225), image.Pt(400, 260), image.Pt(1060, 260), image.Pt(1097, 327)),
					slotAt(1022, 300, 150, "3", "VideoNamed").appears(1.3),
					markAt(1022, 300, 150, 54).appears(1.3),
					cardOf("VideoNamed").travels(1.22, 1.5, image.Pt(190, 445), image.Pt(400, 445), image.Pt(400, 410), image.Pt(410, 410)).stays(1.55),
					cardOf("VideoNamed").travels(1.58, 1.82, image.Pt(410, 410), image.Pt(400, 410), image.Pt(400, 445), image.Pt(190, 445)),
					textAt(480, 496, 0, faceMono, 24, inkBlack, "Wrong expected version: 2").appears(1.5),
				},
			},
		},
		Motif: func(c *canvas) {
			for r := range 4 {
				y := 150 + 125*float64(r)
				c.rect(880, y+40, 400, 6, 0, inkChalk)
				for i := range []int{3, 2, 3, 1}[r] {
					x := 880 + 140*float64(i)
					c.rect(x, y, 110, 84, 6, inkNavy)
					c.frame(x, y, 110, 84, 6, 6, inkChalk)
					if r == 1 && i == 1 {
						c.rect(x, y, 110, 84, 6, inkSignal)
					}
				}
			}
		},
	}
}

func twoNumbers() []pictureItem {
	// The order of arrival: which of the three streams, and its position there.
	arrivals := []struct {
		stream, position int
		global           string
	}{{2, 0, "1036"}, {0, 0, "1037"}, {1, 0, "1038"}, {0, 1, "1039"}, {2, 1, "1040"}, {1, 1, "1041"}, {0, 2, "1042"}}
	names := []string{"viewing-7c1e…", "viewing-b20d…", "videoPublishing-7c1e…"}
	var all []pictureItem
	for i, name := range names {
		y := 196 + 92*float64(i)
		all = append(all, textAt(80, y, 0, faceMono, 20, inkBlack, name), barAt(390, y-6, 810, 1, inkHair))
	}
	x := func(i int) float64 { return 440 + 118*float64(i) }
	for i, a := range arrivals {
		y := 190 + 92*float64(a.stream)
		all = append(all,
			still(func(c *canvas) {
				c.rect(x(i)-28, y-28, 56, 56, 4, inkSheet)
				c.frame(x(i)-28, y-28, 56, 56, 4, 2, inkBlack)
				c.text(x(i), y+9, 0.5, faceMonoBold, 26, inkBlack, strconv.Itoa(a.position))
			}),
			textAt(x(i), 484, 0.5, faceMono, 22, inkBlack, a.global).appears(0.45+0.05*float64(i)),
			still(func(c *canvas) { c.dashed(1.5, inkHair, vec{x(i), y + 32}, vec{x(i), 456}) }).appears(0.45+0.05*float64(i)))
	}
	all = append(all,
		textAt(80, 484, 0, faceMono, 20, inkSoft, "global position").appears(0.45),
		textAt(80, 532, 0, faceMono, 20, inkSignal, "a reader of viewing").appears(1.05))
	// A reader of the category viewing passes over what belongs to another.
	stops := []int{1, 2, 3, 5, 6}
	for n, i := range stops {
		from := 1.1 + 0.16*float64(n)
		pointer := still(func(c *canvas) { c.rect(x(i)-36, 458, 72, 36, 4, inkSignal) }).appears(from)
		number := textAt(x(i), 484, 0.5, faceMonoBold, 22, inkSheet, arrivals[i].global).appears(from)
		if n < len(stops)-1 {
			pointer, number = pointer.disappears(from+0.16), number.disappears(from+0.16)
		}
		all = append(all, pointer, number)
	}
	return all
}

// countedTable is a row and a checkpoint in one frame.
func countedTable(x, y float64, label string) []pictureItem {
	return []pictureItem{
		groupAt(x, y, 380, 306, label),
		partAt(x+26, y+36, 328, 104, "", ""),
		textAt(x+46, y+70, 0, faceMono, 19, inkSoft, "view_counts"),
		textAt(x+46, y+117, 0, faceMono, 24, inkBlack, "7c1e…"),
		partAt(x+26, y+166, 328, 104, "", ""),
		textAt(x+46, y+200, 0, faceMono, 19, inkSoft, "checkpoint"),
		textAt(x+46, y+247, 0, faceMono, 24, inkBlack, "viewcounts"),
	}
}

func countValue(x, y float64, value string, ink color.Color) pictureItem {
	return textAt(x+334, y+118, 1, faceMonoBold, 32, ink, value).roll()
}

func checkpointValue(x, y float64, value string, ink color.Color) pictureItem {
	return textAt(x+334, y+248, 1, faceMonoBold, 32, ink, value).roll()
}

func countExactlyOnce() lesson {
	const tx, ty = 820.0, 190.0
	return lesson{
		Slug:        "projections-that-count-exactly-once",
		Number:      3,
		Title:       "Projections that count exactly once",
		Description: "How a table is kept up to date from events so that a crash, a second copy of the program or a fresh start never changes the result.",
		Keep:        "The rows and the checkpoint move together. So nothing is counted twice, and nothing is left out.",
		Scenes: []scene{
			{
				Heading: "From events to rows",
				Beats: []beat{
					{Text: "To show a page, nobody wants to count a million events. A projection keeps a table ready."},
					{Text: "Its checkpoint is the position of the last event that the table contains."},
				},
				Picture: append(countedTable(tx, ty, "view data"),
					textAt(80, 288, 0, faceMono, 21, inkBlack, "viewing"),
					slotAt(80, 316, 92, "1037", "+1"),
					slotAt(192, 316, 92, "1038", "+1"),
					slotAt(304, 316, 92, "1039", "+1"),
					arrowOf("", 430, 343, 500, 343),
					partAt(500, 286, 200, 114, "Projection", ""),
					arrowOf("", 700, 343, 820, 343),
					cardOf("+1").travels(0.25, 0.42, image.Pt(126, 343), image.Pt(600, 343)),
					cardOf("+1").travels(0.45, 0.62, image.Pt(238, 343), image.Pt(600, 343)),
					cardOf("+1").travels(0.65, 0.82, image.Pt(350, 343), image.Pt(600, 343)),
					countValue(tx, ty, "0", inkBlack).disappears(0.45),
					countValue(tx, ty, "1", inkBlack).appears(0.45).disappears(0.65),
					countValue(tx, ty, "2", inkBlack).appears(0.65).disappears(0.85),
					countValue(tx, ty, "3", inkBlack).appears(0.85),
					checkpointValue(tx, ty, "1036", inkBlack).disappears(0.45),
					checkpointValue(tx, ty, "1037", inkBlack).appears(0.45).disappears(0.65),
					checkpointValue(tx, ty, "1038", inkBlack).appears(0.65).disappears(0.85),
					checkpointValue(tx, ty, "1039", inkBlack).appears(0.85),
					markAt(tx+26, ty+166, 328, 104).appears(1),
					markAt(304, 316, 92, 54).appears(1.35),
				),
			},
			{
				Heading: "Both or neither",
				Beats: []beat{
					{Text: "Count and checkpoint are written in one transaction. Say the program dies just before the commit."},
					{Text: "The database takes both back. The next attempt reads the same event, and counts it once."},
				},
				Picture: append(countedTable(tx, ty, "one transaction"),
					storeAt(80, 278, 220, 130, "Message DB", ""),
					arrowOf("", 300, 343, 450, 343),
					partAt(450, 278, 220, 130, "Projection", ""),
					arrowOf("", 670, 343, 820, 343),
					cardOf("1040").travels(0.05, 0.3, image.Pt(190, 343), image.Pt(560, 343)),
					countValue(tx, ty, "3", inkBlack).disappears(0.4),
					countValue(tx, ty, "4", inkSoft).appears(0.4).disappears(1.15),
					countValue(tx, ty, "3", inkBlack).appears(1.15).disappears(1.8),
					countValue(tx, ty, "4", inkSignal).appears(1.8),
					checkpointValue(tx, ty, "1039", inkBlack).disappears(0.4),
					checkpointValue(tx, ty, "1040", inkSoft).appears(0.4).disappears(1.15),
					checkpointValue(tx, ty, "1039", inkBlack).appears(1.15).disappears(1.8),
					checkpointValue(tx, ty, "1040", inkSignal).appears(1.8),
					crossAt(450, 278, 220, 130).appears(0.75).disappears(1.4),
					textAt(560, 444, 0.5, faceMono, 20, inkBlack, "stopped").appears(0.75).disappears(1.4),
					textAt(1200, 540, 1, faceMonoBold, 24, inkBlack, "ROLLBACK").appears(1.1).disappears(1.7),
					cardOf("1040").travels(1.45, 1.72, image.Pt(190, 343), image.Pt(560, 343)),
					textAt(1200, 540, 1, faceMonoBold, 24, inkSignal, "COMMIT").appears(1.85),
				),
			},
			{
				Heading: "Three replicas",
				Beats: []beat{
					{Text: "Three copies of the program may run. Whoever holds the checkpoint row works, the others stand by."},
					{Text: "When that one dies, its lock ends with it, and another goes on from the same checkpoint."},
				},
				Picture: []pictureItem{
					partAt(80, 150, 240, 100, "Replica A", ""),
					partAt(80, 290, 240, 100, "Replica B", ""),
					partAt(80, 430, 240, 100, "Replica C", ""),
					partAt(860, 260, 340, 160, "", ""),
					textAt(884, 302, 0, faceMono, 20, inkSoft, "checkpoint"),
					textAt(884, 372, 0, faceMono, 26, inkBlack, "viewcounts"),
					textAt(1176, 373, 1, faceMonoBold, 36, inkBlack, "1040"),
					arrowOf("", 320, 200, 860, 310).appears(0.45).disappears(1.15),
					textAt(620, 236, 0.5, faceMono, 21, inkSignal, "holds the lock").appears(0.55).disappears(1.15),
					markAt(80, 150, 240, 100).appears(0.5).disappears(1.15),
					textAt(344, 347, 0, faceMono, 21, inkSoft, "stands by").appears(0.75).disappears(1.5),
					textAt(344, 487, 0, faceMono, 21, inkSoft, "stands by").appears(0.8),
					crossAt(80, 150, 240, 100).appears(1.1),
					arrowOf("", 320, 340, 860, 340).appears(1.5),
					textAt(620, 324, 0.5, faceMono, 21, inkSignal, "holds the lock").appears(1.6),
					markAt(80, 290, 240, 100).appears(1.5),
				},
			},
			{
				Heading: "Once more from the start",
				Beats: []beat{
					{Text: "The events stay. So the table can be thrown away, and built again from position 0.", Say: "The events stay. So the table can be thrown away, and built again from position zero."},
					{Text: "Reading all of them once more gives the same rows."},
				},
				Picture: append(countedTable(tx, ty, "view data"),
					textAt(80, 288, 0, faceMono, 21, inkBlack, "viewing"),
					slotAt(80, 316, 100, "1037", "+1"),
					slotAt(200, 316, 100, "1038", "+1"),
					slotAt(320, 316, 100, "1039", "+1"),
					slotAt(440, 316, 100, "1040", "+1"),
					arrowOf("", 580, 343, 820, 343),
					barAt(80, 418, 460, 5, inkHair),
					barAt(80, 418, 460, 5, inkSignal).fills(1, 1.7),
					countValue(tx, ty, "4", inkBlack).disappears(0.5),
					countValue(tx, ty, "0", inkBlack).appears(0.5).disappears(1.15),
					countValue(tx, ty, "1", inkBlack).appears(1.15).disappears(1.35),
					countValue(tx, ty, "2", inkBlack).appears(1.35).disappears(1.52),
					countValue(tx, ty, "3", inkBlack).appears(1.52).disappears(1.72),
					countValue(tx, ty, "4", inkSignal).appears(1.72),
					checkpointValue(tx, ty, "1040", inkBlack).disappears(0.6),
					checkpointValue(tx, ty, "0", inkBlack).appears(0.6).disappears(1.15),
					checkpointValue(tx, ty, "1037", inkBlack).appears(1.15).disappears(1.35),
					checkpointValue(tx, ty, "1038", inkBlack).appears(1.35).disappears(1.52),
					checkpointValue(tx, ty, "1039", inkBlack).appears(1.52).disappears(1.72),
					checkpointValue(tx, ty, "1040", inkSignal).appears(1.72),
				),
			},
		},
		Motif: func(c *canvas) {
			// Two that move as one: rows and checkpoint under one bracket.
			c.frame(890, 130, 310, 460, 16, 6, inkChalk)
			for i := range 4 {
				c.rect(930, 180+50*float64(i), 230, 26, 6, inkChalk)
			}
			c.rect(890, 400, 310, 6, 0, inkChalk)
			c.rect(930, 450, 230, 90, 6, inkSignal)
		},
	}
}

func postedTwice() lesson {
	return lesson{
		Slug:        "counted-once-however-often-you-post",
		Number:      4,
		Title:       "Counted once, however often you post",
		Description: "Reloads, double clicks and retries all send the same view again. Why the count still rises by one, and who sees to it.",
		Keep:        "Do not ask whether it was done before. Give it a name that can exist only once.",
		Scenes: []scene{
			{
				Heading: "The same view, sent again",
				Beats: []beat{
					{Text: "People reload and click twice, and networks try again. The same view can arrive three times."},
					{Text: "It must count once. And the page cannot promise that: it may have forgotten."},
				},
				Picture: []pictureItem{
					pageAt(80, 190, 330, 280),
					videoAt(98, 234, 294, 166),
					textAt(98, 446, 0, faceMedium, 24, inkBlack, "41 views"),
					arrowOf("", 410, 330, 800, 330),
					partAt(800, 260, 260, 140, "Application", ""),
					cardOf("POST").travels(0.3, 0.6, image.Pt(245, 330), image.Pt(930, 330)),
					cardOf("POST").travels(0.5, 0.8, image.Pt(245, 330), image.Pt(930, 330)),
					cardOf("POST").travels(0.7, 1.0, image.Pt(245, 330), image.Pt(930, 330)),
					textAt(800, 446, 0, faceMono, 22, inkBlack, "first").appears(0.6),
					textAt(800, 478, 0, faceMono, 22, inkBlack, "double click").appears(0.8),
					textAt(800, 510, 0, faceMono, 22, inkBlack, "retry").appears(1),
				},
			},
			{
				Heading: "An id that is worked out",
				Beats: []beat{
					{Text: "Every message has an id. Here it is not drawn at random, but worked out of three things."},
					{Text: "The same browser session, the same video, the same day: always the same id, on every server."},
				},
				Picture: []pictureItem{
					partAt(80, 150, 330, 100, "Session", "c41f…"),
					partAt(80, 285, 330, 100, "Video", "7c1e…"),
					partAt(80, 420, 330, 100, "Day", "2026-11-22"),
					arrowOf("", 410, 200, 520, 200, 520, 335, 600, 335),
					arrowOf("", 410, 335, 600, 335),
					arrowOf("", 410, 470, 520, 470, 520, 335, 600, 335),
					partAt(600, 275, 190, 120, "Hash", ""),
					arrowOf("", 790, 335, 900, 335).appears(0.75),
					partAt(900, 265, 300, 140, "Message id", "e8a04f51-…").appears(0.75),
					cardOf("c41f…").travels(1.05, 1.3, image.Pt(245, 200), image.Pt(520, 200), image.Pt(520, 335), image.Pt(695, 335)),
					cardOf("7c1e…").travels(1.15, 1.4, image.Pt(245, 335), image.Pt(695, 335)),
					cardOf("2026-11-22").travels(1.25, 1.5, image.Pt(245, 470), image.Pt(520, 470), image.Pt(520, 335), image.Pt(695, 335)),
					markAt(900, 265, 300, 140).appears(1.6),
				},
			},
			{
				Heading: "The store decides",
				Beats: []beat{
					{Text: "In the event store an id exists once. The first write is kept."},
					{Text: "The second is refused, and that is no error to anyone: this view is already recorded."},
				},
				Picture: []pictureItem{
					partAt(80, 260, 230, 140, "Application", ""),
					arrowOf("write", 310, 330, 560, 330),
					groupAt(560, 170, 640, 320, "Message DB"),
					textAt(592, 216, 0, faceMono, 20, inkSoft, "id, unique"),
					textAt(900, 216, 0, faceMono, 20, inkSoft, "type"),
					barAt(592, 232, 576, 1, inkHair),
					textAt(592, 276, 0, faceMono, 22, inkBlack, "03d7c920-…"), textAt(900, 276, 0, faceMono, 22, inkBlack, "VideoViewed"),
					textAt(592, 328, 0, faceMono, 22, inkBlack, "b91e66a4-…"), textAt(900, 328, 0, faceMono, 22, inkBlack, "VideoViewed"),
					cardOf("e8a04f51-…").travels(0.35, 0.75, image.Pt(195, 330), image.Pt(560, 330), image.Pt(665, 372)),
					textAt(592, 380, 0, faceMono, 22, inkBlack, "e8a04f51-…").appears(0.78), textAt(900, 380, 0, faceMono, 22, inkBlack, "VideoViewed").appears(0.78),
					markAt(586, 354, 588, 40).appears(0.78),
					cardOf("e8a04f51-…").travels(1.02, 1.25, image.Pt(195, 330), image.Pt(545, 330)).stays(1.3),
					cardOf("e8a04f51-…").travels(1.3, 1.55, image.Pt(545, 330), image.Pt(195, 330)),
					textAt(592, 450, 0, faceMono, 20, inkBlack, "this id is there already").appears(1.25),
					textAt(195, 440, 0.5, faceMedium, 22, inkBlack, "already recorded").appears(1.6),
				},
			},
			{
				Heading: "Another day, another view",
				Beats: []beat{
					{Text: "Tomorrow the day is another, so is the id, and watching again counts again."},
					{Text: "So does another person. No list of who has seen what is needed."},
				},
				Picture: []pictureItem{
					textAt(80, 190, 0, faceMono, 20, inkSoft, "session"), textAt(300, 190, 0, faceMono, 20, inkSoft, "video"), textAt(500, 190, 0, faceMono, 20, inkSoft, "day"), textAt(780, 190, 0, faceMono, 20, inkSoft, "id"), textAt(1200, 190, 1, faceMono, 20, inkSoft, "counts"),
					barAt(80, 212, 1120, 1, inkHair),
					idRow(260, "c41f…", "7c1e…", "2026-11-22", "e8a04f51-…", "yes"),
					idRow(330, "c41f…", "7c1e…", "2026-11-22", "e8a04f51-…", "no, same id"),
					idRow(400, "c41f…", "7c1e…", "2026-11-23", "5f0b17ce-…", "yes").appears(0.3),
					markAt(496, 370, 158, 42).appears(0.4).disappears(1),
					idRow(470, "90aa…", "7c1e…", "2026-11-22", "d2641b08-…", "yes").appears(1.02),
					markAt(76, 440, 96, 42).appears(1.15),
				},
			},
		},
		Motif: func(c *canvas) {
			// Many arrive, one is kept.
			for i := range 5 {
				y := 160 + 100*float64(i)
				c.line(6, inkChalk, vec{860, y}, vec{1080, 360})
				c.disc(860, y, 22, inkNavy)
				c.ring(860, y, 20, 6, inkChalk)
			}
			c.rect(1050, 290, 160, 140, 8, inkSignal)
		},
	}
}

func idRow(y float64, session, video, day, id, counts string) pictureItem {
	return still(func(c *canvas) {
		for _, cell := range []struct {
			x    float64
			text string
		}{{80, session}, {300, video}, {500, day}, {780, id}} {
			c.text(cell.x, y, 0, faceMono, 24, inkBlack, cell.text)
		}
		c.text(1200, y, 1, faceMedium, 24, inkBlack, counts)
	})
}

func aPageThatListens() lesson {
	return lesson{
		Slug:        "a-page-that-listens",
		Number:      5,
		Title:       "A page that listens",
		Description: "How an open page stays true without a reload: one line to the server, a number that closes every gap, and what happens when the line breaks.",
		Keep:        "What matters is not every message on the way, but that each page ends at the true number.",
		Scenes: []scene{
			{
				Heading: "One line stays open",
				Beats: []beat{
					{Text: "A page that shows a number opens one line to the server, and the line stays open."},
					{Text: "When the number changes, a small piece of HTML comes down and takes the old one’s place."},
				},
				Picture: []pictureItem{
					partAt(80, 250, 260, 150, "Server", ""),
					pageAt(840, 190, 360, 270),
					textAt(1020, 320, 0.5, faceBold, 76, inkBlack, "41").roll().disappears(1.6),
					textAt(1020, 320, 0.5, faceBold, 76, inkSignal, "42").roll().appears(1.6),
					textAt(1020, 366, 0.5, faceText, 24, inkSoft, "views"),
					arrowOf("GET /live", 840, 290, 340, 290),
					arrowOf("", 340, 360, 840, 360).appears(0.5),
					textAt(590, 402, 0.5, faceMono, 18, inkSoft, "text/event-stream").appears(0.5),
					cardOf("GET").travels(0.1, 0.45, image.Pt(840, 290), image.Pt(340, 290)),
					cardOf("42").travels(1.15, 1.6, image.Pt(210, 360), image.Pt(840, 360)),
				},
			},
			{
				Heading: "No gap at the start",
				Beats: []beat{
					{Text: "Between drawing the page and opening the line something may happen. So the page knows how far it has come."},
					{Text: "The server first signs it up, then sends what is newer than that, and then follows."},
				},
				Picture: []pictureItem{
					barAt(140, 330, 1000, 3, inkBlack),
					textAt(240, 290, 0.5, faceMedium, 24, inkBlack, "page drawn"),
					still(func(c *canvas) { c.disc(240, 331, 10, inkBlack) }),
					textAt(240, 376, 0.5, faceMono, 22, inkSoft, "viewcounts=17").appears(0.65),
					still(func(c *canvas) { c.disc(540, 331, 12, inkSignal) }).appears(0.35),
					textAt(540, 290, 0.5, faceMono, 22, inkBlack, "VideoViewed").appears(0.35),
					textAt(540, 376, 0.5, faceMono, 22, inkSoft, "viewcounts=18").appears(0.35),
					still(func(c *canvas) { c.disc(840, 331, 10, inkBlack) }),
					textAt(840, 290, 0.5, faceMedium, 24, inkBlack, "line open"),
					textAt(760, 452, 0, faceMono, 23, inkBlack, "1  sign up").appears(1.1),
					textAt(760, 490, 0, faceMono, 23, inkBlack, "2  send what is newer than 17").appears(1.35),
					textAt(760, 528, 0, faceMono, 23, inkBlack, "3  follow").appears(1.8),
					cardOf("18").travels(1.4, 1.75, image.Pt(540, 331), image.Pt(840, 331)),
				},
			},
			{
				Heading: "When the line breaks",
				Beats: []beat{
					{Text: "When the line breaks, the page says so, and tries again, a little later each time."},
					{Text: "It names the last number it has seen, and the server answers with what is newest now."},
				},
				Picture: []pictureItem{
					partAt(80, 250, 260, 150, "Server", ""),
					pageAt(840, 190, 360, 270),
					textAt(1020, 330, 0.5, faceBold, 76, inkBlack, "42").roll().disappears(1.85),
					textAt(1020, 330, 0.5, faceBold, 76, inkSignal, "57").roll().appears(1.85),
					textAt(1020, 376, 0.5, faceText, 24, inkSoft, "views"),
					arrowOf("", 340, 325, 840, 325).disappears(0.15),
					still(func(c *canvas) { c.dashed(2, inkSoft, vec{340, 325}, vec{840, 325}) }).appears(0.15).disappears(1.1),
					still(func(c *canvas) {
						c.rect(842, 412, 356, 46, 0, inkSignal)
						c.text(1020, 442, 0.5, faceMedium, 22, inkSheet, "Reconnecting")
					}).appears(0.3).disappears(1.55),
					still(func(c *canvas) {
						c.line(4, inkBlack, vec{574, 309}, vec{606, 341})
						c.line(4, inkBlack, vec{606, 309}, vec{574, 341})
					}).appears(0.15).disappears(1.05),
					arrowOf("", 840, 290, 340, 290).appears(1.1),
					textAt(590, 258, 0.5, faceMono, 20, inkSoft, "Last-Event-ID: viewcounts=18").appears(1.1),
					cardOf("18").travels(1.15, 1.45, image.Pt(840, 290), image.Pt(210, 290)),
					arrowOf("", 340, 360, 840, 360).appears(1.5),
					cardOf("57").travels(1.55, 1.85, image.Pt(210, 360), image.Pt(840, 360)),
				},
			},
			{
				Heading: "A slow reader",
				Beats: []beat{
					{Text: "Some lines are slow. They do not get every step, only the newest number."},
					{Text: "A line that takes nothing is cut, and opens again later. Nobody else waits for it."},
				},
				Picture: []pictureItem{
					partAt(80, 250, 240, 150, "Server", ""),
					pageAt(920, 150, 280, 160),
					pageAt(920, 370, 280, 160),
					arrowOf("", 320, 300, 480, 300, 480, 230, 920, 230),
					arrowOf("", 320, 350, 480, 350, 480, 450, 920, 450).disappears(1.25),
					textAt(700, 202, 0.5, faceMono, 18, inkSoft, "quick"),
					textAt(700, 422, 0.5, faceMono, 18, inkSoft, "slow").disappears(1.25),
					cardOf("58").travels(0.1, 0.3, image.Pt(320, 300), image.Pt(480, 300), image.Pt(480, 230), image.Pt(920, 230)),
					cardOf("59").travels(0.3, 0.5, image.Pt(320, 300), image.Pt(480, 300), image.Pt(480, 230), image.Pt(920, 230)),
					cardOf("60").travels(0.5, 0.7, image.Pt(320, 300), image.Pt(480, 300), image.Pt(480, 230), image.Pt(920, 230)),
					cardOf("60").travels(0.55, 0.95, image.Pt(320, 350), image.Pt(480, 350), image.Pt(480, 450), image.Pt(920, 450)),
					textAt(1060, 258, 0.5, faceBold, 54, inkBlack, "57").roll().disappears(0.3),
					textAt(1060, 258, 0.5, faceBold, 54, inkBlack, "58").roll().appears(0.3).disappears(0.5),
					textAt(1060, 258, 0.5, faceBold, 54, inkBlack, "59").roll().appears(0.5).disappears(0.7),
					textAt(1060, 258, 0.5, faceBold, 54, inkSignal, "60").roll().appears(0.7),
					textAt(1060, 478, 0.5, faceBold, 54, inkBlack, "57").roll().disappears(0.95),
					textAt(1060, 478, 0.5, faceBold, 54, inkSignal, "60").roll().appears(0.95),
					still(func(c *canvas) {
						c.line(2, inkSoft, vec{320, 350}, vec{480, 350}, vec{480, 450})
						c.dashed(2, inkSoft, vec{480, 450}, vec{920, 450})
					}).appears(1.25),
					textAt(700, 422, 0.5, faceMono, 18, inkSoft, "cut").appears(1.25),
				},
			},
		},
		Motif: func(c *canvas) {
			for i := range 4 {
				c.arc(900, 360, 110+80*float64(i), 6, -math.Pi/3.2, math.Pi/3.2, inkChalk)
			}
			c.disc(900, 360, 48, inkSignal)
		},
	}
}
