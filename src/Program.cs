using System.Globalization;
using FineTuneStudio;
using FineTuneStudio.Accounts;
using FineTuneStudio.BaseModels;
using FineTuneStudio.Checklists;
using FineTuneStudio.Datasets;
using FineTuneStudio.Engine.Headless;
using FineTuneStudio.FewShot;
using FineTuneStudio.Models;
using FineTuneStudio.Pretraining;
using FineTuneStudio.Projects;
using FineTuneStudio.Reports;
using FineTuneStudio.Review;
using FineTuneStudio.Runs;
using FineTuneStudio.Shell;
using FineTuneStudio.Splits;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.DefaultThreadCurrentUICulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;

switch (args)
{
    case ["train", .. var options]: return TrainCommand.Run(options, Console.Out, Console.Error);
    case ["pretrain", .. var options]: return PretrainCommand.Run(options, Console.Out, Console.Error);
    case ["predict", .. var options]: return PredictCommand.Run(options, Console.Out, Console.Error);
    case ["few-shot", .. var options]: return FewShotCommand.Run(options, Console.Out, Console.Error);
    case ["doctor", .. var options]: return DoctorCommand.Run(options, Console.Out, Console.Error);
}

var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = ContentRoot.Find(args) });

builder.WebHost.UseStaticWebAssets();
builder.AddShell();
builder.AddAccounts();
builder.Services.AddProjects();
builder.Services.AddReview();
builder.Services.AddDatasets();
builder.Services.AddSplits();
builder.Services.AddBaseModels();
builder.Services.AddRuns();
builder.Services.AddFewShot();
builder.Services.AddPretraining();
builder.Services.AddChecklists();
builder.Services.AddReports();
builder.Services.AddModels();

var app = builder.Build();
try { await app.Prepare(); }
catch (DatabaseNotUpgraded refused)
{
    Console.Error.WriteLine(refused.Message);
    return 1;
}

app.UseShell();
app.UseAttemptLimit();
app.UseAuthentication();
app.UseAuthorization();
app.UseProjectGate();
app.UseAntiforgery();

app.MapShell();
app.MapAccounts();
app.MapDatasets();
app.MapSplits();
app.MapBaseModels();
app.MapRuns();
app.MapPretraining();
app.MapModels();
app.Greet();

app.Run();
return 0;

public partial class Program;
