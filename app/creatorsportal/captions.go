package creatorsportal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"videotutorials/aggregators/creatorsvideos"
	"videotutorials/app/web"
	"videotutorials/components/videopublishing/publishingmsg"
	"videotutorials/db/media"
	"videotutorials/messagestore"
	"videotutorials/views"
)

// addCaptions keeps the file of captions and writes AddCaptions.
func (a *App) addCaptions(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	given := givenFile(c)
	typed := views.CreatorsVideoEdit{
		Language: strings.TrimSpace(given.fields["language"]), Label: strings.TrimSpace(given.fields["label"]), CaptionsProblem: given.problem,
	}
	tag, err := language.Parse(typed.Language)
	switch {
	case typed.Language == "":
		typed.LanguageProblem = "no-language"
	case err != nil:
		typed.LanguageProblem = "unknown-language"
	}
	if typed.LanguageProblem != "" || typed.CaptionsProblem != "" {
		return a.edit(c, http.StatusUnprocessableEntity, v, typed)
	}
	label := cmp.Or(typed.Label, languageName(tag))
	return a.keep(c, v, "AddCaptions "+tag.String()+" "+label, given.file, func(traceID string) (key string, _ messagestore.Body) {
		id := messagestore.DeriveID("captions", traceID)
		key = v.ID + "/captions-" + id + ".vtt"
		return key, publishingmsg.AddCaptions{VideoID: v.ID, CaptionsID: id, Language: tag.String(), Label: label, URI: media.Path(key)}
	})
}

// languageName returns what those who speak a language call it, with a capital as in a menu,
// else what it is called in English, else its code.
func languageName(tag language.Tag) string {
	name := cmp.Or(display.Self.Name(tag), display.English.Tags().Name(tag))
	if _, sure := tag.Base(); name == "" || sure != language.Exact {
		return tag.String()
	}
	first, length := utf8.DecodeRuneInString(name)
	return string(unicode.ToTitle(first)) + name[length:]
}

// removeCaptions writes RemoveCaptions.
func (a *App) removeCaptions(c echo.Context) error {
	v, err := a.mine(c)
	if err != nil {
		return err
	}
	if !messagestore.ValidID(c.Param("captionsId")) {
		return web.NotFound("The video has no such captions.")
	}
	return a.ask(c, v.ID, publishingmsg.RemoveCaptions{VideoID: v.ID, CaptionsID: c.Param("captionsId")})
}

// keep keeps a file for a video, writes the command that says so and leads to what comes of
// it. A file whose command is refused, the component removes.
func (a *App) keep(c echo.Context, v creatorsvideos.Video, says string, text []byte, command func(traceID string) (key string, _ messagestore.Body)) error {
	ctx, sum := c.Request().Context(), sha256.Sum256(text)
	traceID, written, err := a.wish(ctx, v.OwnerID, v.ID, says+" "+hex.EncodeToString(sum[:]))
	if err != nil {
		return err
	}
	if !written { // else the file was there, and may be gone for a reason
		key, body := command(traceID)
		if err := a.media.Put(ctx, key, text); err != nil {
			return messagestore.Transient(err)
		}
		if err := a.put(ctx, v.OwnerID, v.ID, body, traceID); err != nil {
			return err
		}
	}
	return a.lead(c, traceID, v.ID)
}
