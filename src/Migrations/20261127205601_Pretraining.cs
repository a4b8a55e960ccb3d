using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneStudio.src.Migrations
{
    /// <inheritdoc />
    public partial class Pretraining : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "IX_Runs_ProjectId_Number",
                table: "Runs");

            migrationBuilder.AlterColumn<int>(
                name: "SplitId",
                table: "Runs",
                type: "INTEGER",
                nullable: true,
                oldClrType: typeof(int),
                oldType: "INTEGER");

            migrationBuilder.AlterColumn<int>(
                name: "BaseModelId",
                table: "Runs",
                type: "INTEGER",
                nullable: true,
                oldClrType: typeof(int),
                oldType: "INTEGER");

            migrationBuilder.AddColumn<string>(
                name: "ChoiceJson",
                table: "Runs",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "FromModelId",
                table: "Runs",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "HeldOutWords",
                table: "Runs",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<string>(
                name: "Kind",
                table: "Runs",
                type: "TEXT",
                maxLength: 13,
                nullable: false,
                // All there were until now fine-tuned.
                defaultValue: "runs");

            migrationBuilder.AddColumn<string>(
                name: "TextNames",
                table: "Runs",
                type: "TEXT",
                nullable: true);

            migrationBuilder.AddColumn<long>(
                name: "TrainWords",
                table: "Runs",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.AddColumn<int>(
                name: "PretrainingNumber",
                table: "BaseModels",
                type: "INTEGER",
                nullable: true);

            migrationBuilder.CreateTable(
                name: "PretrainTexts",
                columns: table => new
                {
                    Id = table.Column<int>(type: "INTEGER", nullable: false)
                        .Annotation("Sqlite:Autoincrement", true),
                    ProjectId = table.Column<string>(type: "TEXT", nullable: false),
                    Name = table.Column<string>(type: "TEXT", nullable: false),
                    StoredAs = table.Column<string>(type: "TEXT", nullable: false),
                    Bytes = table.Column<long>(type: "INTEGER", nullable: false),
                    Documents = table.Column<long>(type: "INTEGER", nullable: false),
                    Words = table.Column<long>(type: "INTEGER", nullable: false),
                    Sha256 = table.Column<string>(type: "TEXT", nullable: false),
                    UploadedById = table.Column<string>(type: "TEXT", nullable: false),
                    UploadedAt = table.Column<DateTime>(type: "TEXT", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_PretrainTexts", x => x.Id);
                });

            migrationBuilder.CreateIndex(
                name: "IX_Runs_ProjectId_Kind_Number",
                table: "Runs",
                columns: new[] { "ProjectId", "Kind", "Number" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_PretrainTexts_ProjectId",
                table: "PretrainTexts",
                column: "ProjectId");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            // The version before knows no pretraining, and counts the numbers of all runs as one.
            foreach (var of in new[] { "RunSteps", "RunEvaluations", "RunLog" })
                migrationBuilder.Sql($"DELETE FROM {of} WHERE RunId IN (SELECT Id FROM Runs WHERE Kind <> 'runs')");
            migrationBuilder.Sql("DELETE FROM Runs WHERE Kind <> 'runs'");

            migrationBuilder.DropTable(
                name: "PretrainTexts");

            migrationBuilder.DropIndex(
                name: "IX_Runs_ProjectId_Kind_Number",
                table: "Runs");

            migrationBuilder.DropColumn(
                name: "ChoiceJson",
                table: "Runs");

            migrationBuilder.DropColumn(
                name: "FromModelId",
                table: "Runs");

            migrationBuilder.DropColumn(
                name: "HeldOutWords",
                table: "Runs");

            migrationBuilder.DropColumn(
                name: "Kind",
                table: "Runs");

            migrationBuilder.DropColumn(
                name: "TextNames",
                table: "Runs");

            migrationBuilder.DropColumn(
                name: "TrainWords",
                table: "Runs");

            migrationBuilder.DropColumn(
                name: "PretrainingNumber",
                table: "BaseModels");

            migrationBuilder.AlterColumn<int>(
                name: "SplitId",
                table: "Runs",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0,
                oldClrType: typeof(int),
                oldType: "INTEGER",
                oldNullable: true);

            migrationBuilder.AlterColumn<int>(
                name: "BaseModelId",
                table: "Runs",
                type: "INTEGER",
                nullable: false,
                defaultValue: 0,
                oldClrType: typeof(int),
                oldType: "INTEGER",
                oldNullable: true);

            migrationBuilder.CreateIndex(
                name: "IX_Runs_ProjectId_Number",
                table: "Runs",
                columns: new[] { "ProjectId", "Number" },
                unique: true);
        }
    }
}
