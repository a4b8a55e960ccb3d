namespace FineTuneStudio.Projects;

/// What the road of a project names next: the words of its button, where it leads and the right that it takes.
public sealed record NextStep(string Says, string Href, Permission Right);
