package views

// The ids of the fragments that can be swapped. Each has its root element carry the id, and
// none starts with a digit: such an id is no valid selector.
const (
	// VideosWatchedID is the id of the total over all videos.
	VideosWatchedID = "videos-watched"
	// LessonsID is the id of the list of lessons on the home page.
	LessonsID = "lessons"
	// RegistrationID is the id of the steps of a registration.
	RegistrationID = "registration"
	// OperationID is the id of what has become of a change to an account.
	OperationID = "operation"
	// AccountID is the id of all that the page of an account shows.
	AccountID = "account"
	// AccountDetailsID is the id of what is known about a person.
	AccountDetailsID = "account-details"
	// SignInsID is the id of the list of a person's sign-ins.
	SignInsID = "sign-ins"
	// CreatorsVideosID is the id of the list of a person's own videos.
	CreatorsVideosID = "creators-videos"
	// CreatorsVideoStateID is the id of how far a video has come, on the page of its owner.
	CreatorsVideoStateID = "creators-video-state"
	// UploadLimitsID is the id of what a person is told before they upload.
	UploadLimitsID = "upload-limits"
	// VideoOperationID is the id of what has become of something that was asked for a video.
	VideoOperationID = "video-operation"
	// AdminBodyID is the id of all that a page of the admin portal shows.
	AdminBodyID = "admin-body"
	// AdminNewerID is the id of what leads to what has come since a list was made.
	AdminNewerID = "admin-newer"
	// AdminNowID is the id of what the overview shows of this moment.
	AdminNowID = "admin-now"
	// TraceID is the id of the picture of a trace, TraceListID that of the same as a list.
	TraceID     = "trace"
	TraceListID = "trace-list"
	// AdminCategoriesID is the id of the list of categories.
	AdminCategoriesID = "admin-categories"
	// AdminTypesID is the id of the list of types.
	AdminTypesID = "admin-types"
)

// CreatorsVideoRowID is the id of a video in the list of its owner.
func CreatorsVideoRowID(videoID string) string { return "creators-video-" + videoID }

// WatchingID is the id of how many people have the page of a video open.
func WatchingID(videoID string) string { return "watching-" + videoID }

// ViewCountID is the id of a video's view count.
func ViewCountID(videoID string) string { return "view-count-" + videoID }

// ViewingID is the id of the line beside the player that says whether this viewing is counted.
func ViewingID(videoID string) string { return "viewing-" + videoID }

// RecordViewingID is the id of the form that records a viewing of the video.
func RecordViewingID(videoID string) string { return "record-viewing-" + videoID }

// WatchPath is the path of the page that plays the video.
func WatchPath(videoID string) string { return "/videos/" + videoID }

// RecordViewingPath is the path that takes the form that records a viewing of the video.
func RecordViewingPath(videoID string) string { return "/record-viewing/" + videoID }

// The paths of the pages of accounts, and of their forms.
const (
	RegisterPath       = "/register"
	LogInPath          = "/auth/log-in"
	LogOutPath         = "/auth/log-out"
	ForgotPasswordPath = "/auth/forgot-password"
	ResetPasswordPath  = "/auth/reset-password"
	ConfirmEmailPath   = "/confirm-email"
	FirstAdminPath     = "/first-admin"
	AccountPath        = "/account"
	ChangePasswordPath = "/account/password"
	ChangeEmailPath    = "/account/email"
	// ResendConfirmationPath takes the form that asks for another mail with a link
	// that confirms the address.
	ResendConfirmationPath = "/account/confirmation"
	EndOtherSessionsPath   = "/account/sessions/end-others"
	OutboxPath             = "/outbox"
)

// RegistrationPath is the path of the page that follows a registration.
func RegistrationPath(traceID string) string { return "/register/" + traceID }

// ResendWelcomePath is the path that takes the form that asks for another mail for the
// registration.
func ResendWelcomePath(traceID string) string { return RegistrationPath(traceID) + "/resend" }

// OperationPath is the path of the page that follows a change to an account.
func OperationPath(traceID string) string { return "/account/operations/" + traceID }

// EndSessionPath is the path that takes the form that ends a session.
func EndSessionPath(sessionID string) string { return "/account/sessions/" + sessionID + "/end" }

// The paths of what a person does with their own videos.
const (
	CreatorsPortalPath = "/creators-portal"
	// UploadsPath takes uploads that can be interrupted and go on, by the tus protocol.
	UploadsPath = CreatorsPortalPath + "/uploads"
	// UploadFormPath takes an upload as a form with the fields title and description, and then
	// file.
	UploadFormPath = CreatorsPortalPath + "/videos"
)

// CreatorsVideoPath is the path of the page that shows a video to its owner.
func CreatorsVideoPath(videoID string) string { return UploadFormPath + "/" + videoID }

// NameVideoPath takes the form that names a video, with the field name.
func NameVideoPath(videoID string) string { return CreatorsVideoPath(videoID) + "/name" }

// DescribeVideoPath takes the form that describes a video, with the field description.
func DescribeVideoPath(videoID string) string { return CreatorsVideoPath(videoID) + "/description" }

// ChangeVisibilityPath takes the form that says who may find a video, with the field
// visibility.
func ChangeVisibilityPath(videoID string) string { return CreatorsVideoPath(videoID) + "/visibility" }

// DeleteVideoPath takes the form that deletes a video.
func DeleteVideoPath(videoID string) string { return CreatorsVideoPath(videoID) + "/delete" }

// CancelPublishingPath takes the form that stops the work on a video.
func CancelPublishingPath(videoID string) string { return CreatorsVideoPath(videoID) + "/cancel" }

// RetryPublishingPath takes the form that has a video tried again.
func RetryPublishingPath(videoID string) string { return CreatorsVideoPath(videoID) + "/retry" }

// AddCaptionsPath takes the form that adds captions, with the fields language, label and file.
func AddCaptionsPath(videoID string) string { return CreatorsVideoPath(videoID) + "/captions" }

// RemoveCaptionsPath takes the form that removes captions.
func RemoveCaptionsPath(videoID, captionsID string) string {
	return AddCaptionsPath(videoID) + "/" + captionsID + "/remove"
}

// SetChaptersPath takes the form that sets the chapters, with the field file.
func SetChaptersPath(videoID string) string { return CreatorsVideoPath(videoID) + "/chapters" }

// RemoveChaptersPath takes the form that removes the chapters.
func RemoveChaptersPath(videoID string) string { return SetChaptersPath(videoID) + "/remove" }

// VideoOperationPath is the path of the page that follows what was asked for a video.
func VideoOperationPath(traceID string) string {
	return CreatorsPortalPath + "/video-operations/" + traceID
}
