namespace FineTuneStudio.Engine.Headless;

/// <summary>A command that cannot be carried out as given; the message is one plain sentence for the terminal.</summary>
internal sealed class CommandException(string message) : Exception(message);

/// <summary>An option that a command takes.</summary>
/// <param name="Value">What stands after it, as a word for people; null where nothing does.</param>
/// <param name="Says">What it means, in one line.</param>
internal sealed record CommandOption(string Name, string? Value, string Says);

/// <summary>What a command is called, does and takes. <c>--help</c> shows this table, and <see cref="CommandOptions"/> reads by it.</summary>
internal sealed record Command(string Verb, string Says, params IReadOnlyList<CommandOption> Options)
{
    public static readonly CommandOption Json = new("--json", null, "One JSON object a line, for programs.");

    public static readonly CommandOption Resume = new("--resume", null, "Goes on after a stop or a crash, from the last checkpoint in --out.");

    /// <summary>Writes the table where the arguments ask for it.</summary>
    public bool Helps(string[] args, TextWriter output)
    {
        if (!args.Contains("--help") && !args.Contains("-h")) return false;
        string Named(CommandOption option) => option.Value is null ? option.Name : $"{option.Name} {option.Value}";
        var width = Options.Max(option => Named(option).Length);
        output.WriteLine($"{Verb}: {Says}");
        foreach (var option in Options) output.WriteLine($"  {Named(option).PadRight(width)}  {option.Says}");
        return true;
    }
}

/// <summary>The <c>--name value</c> pairs of a command line.</summary>
internal sealed class CommandOptions
{
    private readonly Dictionary<string, string> values = [];

    /// <param name="args">The command's verb is skipped where it is the first.</param>
    public CommandOptions(Command command, string[] args)
    {
        for (var i = args.Length > 0 && args[0] == command.Verb ? 1 : 0; i < args.Length; i++)
        {
            var option = command.Options.FirstOrDefault(o => o.Name == args[i]) ?? throw new CommandException($"{command.Verb} does not know {args[i]}; it takes {string.Join(", ", command.Options.Select(o => o.Name))}, and --help says what each is.");
            if (option.Value is null) values[args[i]] = "";
            else if (i + 1 == args.Length || args[i + 1].StartsWith("--")) throw new CommandException($"{args[i]} needs a value after it.");
            else if (!values.TryAdd(args[i], args[i + 1])) throw new CommandException($"{args[i]} is given twice.");
            else i++;
        }
    }

    public bool Has(string name) => values.ContainsKey(name);

    public string? Optional(string name) => values.GetValueOrDefault(name);

    public string Required(string name) => Optional(name) ?? throw new CommandException($"{name} is missing.");

    public string RequiredFolder(string name) => Required(name) is var path && Directory.Exists(path) ? path
        : throw new CommandException($"{name} is {path}, but there is no such folder.");

    /// <summary>A file to be written, refused before the work where it cannot be.</summary>
    public string RequiredTarget(string name)
    {
        var path = Required(name);
        if (Directory.Exists(path)) throw new CommandException($"{name} is {path}, which is a folder; name a file.");
        return Path.GetDirectoryName(Path.GetFullPath(path)) is { } folder && Directory.Exists(folder) ? path
            : throw new CommandException($"{name} is {path}, but there is no folder {Path.GetDirectoryName(path)}; make it first.");
    }

    /// <summary>A folder to write into, made where it is missing, before the work.</summary>
    public string RequiredOutputFolder(string name)
    {
        var path = Required(name);
        try { Directory.CreateDirectory(path); }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{name} is {path}, which cannot be made: {e.Message}");
        }
        return path;
    }

    public int Whole(string name, int otherwise) => Optional(name) is not { } text ? otherwise
        : int.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var number) && number >= 0 ? number
        : throw new CommandException($"{name} is \"{text}\"; expected a whole number.");

    public double Share(string name, double otherwise) => Optional(name) is not { } text ? otherwise
        : double.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var share) && share is >= 0 and < 1 ? share
        : throw new CommandException($"{name} is \"{text}\"; expected a share from 0 to below 1, such as 0.1.");
}
