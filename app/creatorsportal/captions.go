package creatorsportal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/text/language"

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
	code, label, problem := strings.TrimSpace(given.fields["language"]), strings.TrimSpace(given.fields["label"]), given.problem
	tag, err := language.Parse(code)
	switch {
	case problem != "":
	case code == "":
		problem = "Say in which language they are, by its code: en, de or pt-BR."
	case err != nil:
		problem = "There is no language with this code. Codes are like en, de or pt-BR."
	}
	if problem != "" {
		return a.edit(c, http.StatusUnprocessableEntity, v, views.CreatorsVideoEdit{Language: code, Label: label, CaptionsProblem: problem})
	}
	label = cmp.Or(label, tag.String())
	return a.keep(c, v, "AddCaptions "+tag.String()+" "+label, given.file, func(traceID string) (key string, _ messagestore.Body) {
		id := messagestore.DeriveID("captions", traceID)
		key = v.ID + "/captions-" + id + ".vtt"
		return key, publishingmsg.AddCaptions{VideoID: v.ID, CaptionsID: id, Language: tag.String(), Label: label, URI: media.Path(key)}
	})
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
