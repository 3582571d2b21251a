package authenticate

import "strings"

// named says by which word in its User-Agent a thing is known. Most browsers name those
// too that they are made after, so the first one that fits is the right one.
type named struct{ word, name string }

var (
	browsers = []named{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"},
		{"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Vivaldi/", "Vivaldi"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"Chrome/", "Chrome"}, {"CriOS/", "Chrome"}, {"Chromium/", "Chrome"},
		{"Safari/", "Safari"},
	}
	systems = []named{
		{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"},
		{"CrOS", "ChromeOS"}, {"Windows", "Windows"}, {"Macintosh", "macOS"}, {"Linux", "Linux"},
	}
)

// browserName says in a few words of our own what a User-Agent stands for: "Firefox on
// Linux". It returns "" where that is unknown. The User-Agent itself would tell people
// apart, so it is not kept.
func browserName(userAgent string) string {
	browser, system := first(browsers, userAgent), first(systems, userAgent)
	switch {
	case browser == "" && system == "":
		return ""
	case browser == "":
		return "A browser on " + system
	case system == "":
		return browser
	}
	return browser + " on " + system
}

func first(list []named, userAgent string) string {
	for _, n := range list {
		if strings.Contains(userAgent, n.word) {
			return n.name
		}
	}
	return ""
}
