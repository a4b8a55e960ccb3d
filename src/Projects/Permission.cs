using static FineTuneStudio.Projects.Role;

namespace FineTuneStudio.Projects;

public enum Permission
{
    ViewProject, ManageTeam, EditProject, UploadData, DownloadData, ReviewLabels, FreezeVersion, MakeSplit,
    ImportBaseModel, LaunchRun, AnswerChecklist, BuildReport, SignReport, UseModel, DownloadModel,
}

/// Who may do what. The page "Team" shows this table; ProjectAccess enforces it.
public static class Permissions
{
    public sealed record Line(Permission Permission, string Says, params Role[] Roles);

    public static readonly IReadOnlyList<Line> Table =
    [
        new(Permission.ViewProject, "See the project, its data, runs and reports", Owner, Engineer, Labeler, Reviewer, Approver, Viewer),
        new(Permission.ManageTeam, "Invite people, give and take roles", Owner),
        new(Permission.EditProject, "Change the project's name, purpose, goal and guidelines", Owner),
        new(Permission.UploadData, "Upload and import data", Owner, Engineer),
        new(Permission.DownloadData, "Download rejected rows and scored files", Owner, Engineer, Reviewer),
        new(Permission.ReviewLabels, "Decide, flag and comment on labels", Owner, Engineer, Labeler, Reviewer),
        new(Permission.FreezeVersion, "Freeze reviewed labels into a new version", Owner, Engineer, Reviewer),
        new(Permission.MakeSplit, "Make and freeze a split", Owner, Engineer),
        new(Permission.ImportBaseModel, "Import a base model", Owner, Engineer),
        new(Permission.LaunchRun, "Launch, stop, cancel and restart runs, pretraining and learning curves", Owner, Engineer),
        new(Permission.AnswerChecklist, "Answer the do's and don'ts", Owner, Engineer, Reviewer),
        new(Permission.BuildReport, "Build the validation report", Owner, Engineer),
        new(Permission.SignReport, "Approve or reject a report (never one's own work)", Approver),
        new(Permission.UseModel, "Try the model on texts and files", Owner, Engineer, Labeler, Reviewer, Approver, Viewer),
        new(Permission.DownloadModel, "Download the model", Owner, Engineer, Approver),
    ];

    public static bool Allow(this IReadOnlySet<Role> roles, Permission permission) =>
        Table.Single(line => line.Permission == permission).Roles.Any(roles.Contains);
}

/// On a page, endpoint, hub method, use-case method or method that a script of a page calls: what the caller needs in the project that it names.
/// The permission matrix test calls each of them as every role and fails where this and the behaviour differ.
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
public sealed class NeedsAttribute(Permission permission) : Attribute
{
    public Permission Permission { get; } = permission;
}
