namespace FineTuneStudio;

/// Where the server keeps what it owns: the database, uploads, models, runs. Set by DataFolder, relative to the content root.
public sealed class StudioFolder(IConfiguration configuration, IHostEnvironment environment)
{
    public string Root { get; } = Path.GetFullPath(Path.Combine(environment.ContentRootPath, configuration["DataFolder"] ?? "data"));
    public string ContentRoot => environment.ContentRootPath;
    public string Database => Path.Combine(Root, "studio.db");
    public string Keys => Made("keys");
    public string Uploads => Made("uploads");
    [Open(OpenTo.Anyone, "says where a folder is and opens nothing; nothing a client sends reaches it unchecked")]
    public string BaseModel(string storedAs) => Path.Combine(Made("models"), storedAs);
    [Open(OpenTo.Anyone, "says where a folder is and opens nothing; nothing a client sends reaches it unchecked")]
    public string Run(int runId) => Path.Combine(Made("runs"), runId.ToString());
    /// Whether a restart has a checkpoint to go on from.
    internal bool HasCheckpoint(int runId) => File.Exists(Path.Combine(Run(runId), "last", "state.json"));
    [Open(OpenTo.Anyone, "says where a folder is and opens nothing; nothing a client sends reaches it unchecked")]
    public string Curve(int curveId) => Path.Combine(Made("curves"), curveId.ToString());
    public string Texts => Made("texts");
    public string Scored => Made("scored");

    private string Made(string name) => Directory.CreateDirectory(Path.Combine(Root, name)).FullName;
}
